"""Not one forbidden connection, and not one public URL refused: the corpus, from the URL to the socket."""

from ipaddress import ip_address

import pytest

from retinue.domain.errors import EgressRefused
from retinue.egress import Fetched, fetch
from tests.unit.egress.corpus import BEHIND_A_NAME, FORMS, HOSTILE, HOSTS, NAMES, PUBLIC_URLS
from tests.unit.egress.internet import CLOSED, PUBLIC, Internet, answer, redirect

START = "https://start.example.org/"
ABSOLUTE = tuple(url for url in HOSTILE if "://" in url)


async def fetched(internet: Internet, url: str) -> Fetched:
    async with internet.client() as client:
        return await fetch(client, CLOSED, url, asker="a", max_bytes=10_000, timeout=10.0)


async def is_refused(internet: Internet, url: str) -> bool:
    """Whether it is refused; and whatever happens, nothing private was dialled on the way."""
    try:
        await fetched(internet, url)
    except EgressRefused:
        return set(internet.dialled) <= {PUBLIC}
    return False


def test_the_corpus_is_large_enough() -> None:
    assert len(set(HOSTS)) >= 300
    assert len(set(NAMES)) + len(set(FORMS)) >= 80
    assert len(set(PUBLIC_URLS)) == len(PUBLIC_URLS) >= 25
    assert len(BEHIND_A_NAME) >= 80


async def test_hostile_urls_lead_nowhere() -> None:
    internet = Internet()
    assert [url for url in HOSTILE if not await is_refused(internet, url)] == []
    assert internet.dialled == []
    assert not internet.resolved, "asking a name server tells it something"


async def test_redirects_to_hostile_urls_lead_nowhere() -> None:
    passed = []
    for prefix in ("", " "):
        for url in ABSOLUTE:
            if not url.isascii() or any(char < " " for char in url):
                continue
            internet = Internet({"start.example.org/": redirect(prefix + url)})
            if not await is_refused(internet, START) or internet.dialled != [PUBLIC]:
                passed.append(url)
    assert passed == []


async def test_redirects_without_a_scheme_are_judged_too() -> None:
    passed = []
    for host in (*HOSTS, *NAMES[:-1]):
        if host.isascii() and "\\" not in host and host.isprintable():
            internet = Internet({"start.example.org/": redirect(f"//{host}/")})
            if not await is_refused(internet, START):
                passed.append(host)
    assert passed == []


@pytest.mark.parametrize("addresses", BEHIND_A_NAME, ids=",".join)
async def test_names_that_lead_inside(addresses: list[str]) -> None:
    internet = Internet(names={"name.example.com": [addresses]})
    assert await is_refused(internet, "https://name.example.com/")
    assert internet.dialled == []


@pytest.mark.parametrize("addresses", BEHIND_A_NAME, ids=",".join)
async def test_redirects_to_names_that_lead_inside(addresses: list[str]) -> None:
    internet = Internet(
        {"start.example.org/": redirect("https://name.example.com/")}, names={"name.example.com": [addresses]}
    )
    assert await is_refused(internet, START)
    assert internet.dialled == [PUBLIC]


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::1", "fd00::1"])
async def test_a_name_that_changes_between_check_and_connection(inside: str) -> None:
    """One resolution per connection: what was checked is what is dialled."""
    internet = Internet(names={"rebound.example.com": [[PUBLIC], [inside]]})
    assert (await fetched(internet, "https://rebound.example.com/")).text == "hello"
    assert internet.dialled == [PUBLIC]
    assert internet.resolved["rebound.example.com"] == 1


@pytest.mark.parametrize("inside", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::1", "fd00::1"])
async def test_a_name_that_changes_between_two_hops(inside: str) -> None:
    closing = answer("302 Found", "Location: /next", "Connection: close", body=b"")
    internet = Internet({"rebound.example.com/": closing}, names={"rebound.example.com": [[PUBLIC], [inside]]})
    assert await is_refused(internet, "https://rebound.example.com/")
    assert internet.dialled == [PUBLIC]


async def test_public_urls_arrive() -> None:
    refused = []
    for url in PUBLIC_URLS:
        internet = Internet()
        try:
            came = await fetched(internet, url)
        except EgressRefused:
            refused.append(url)
            continue
        assert came.text == "hello", url
        assert [ip_address(address).is_global for address in internet.dialled] == [True], url
    assert refused == []


async def test_redirects_to_public_urls_arrive() -> None:
    refused = []
    for url in PUBLIC_URLS:
        if url.isascii() and url.lower().startswith("https:"):
            internet = Internet({"start.example.org/": redirect(url)})
            try:
                assert (await fetched(internet, START)).text == "hello"
            except EgressRefused:
                refused.append(url)
    assert refused == []


async def test_a_name_with_several_public_addresses_arrives() -> None:
    internet = Internet(names={"many.example.com": [[PUBLIC, "8.8.8.8", "2606:4700:4700::1111"]]})
    assert (await fetched(internet, "https://many.example.com/")).status == 200
