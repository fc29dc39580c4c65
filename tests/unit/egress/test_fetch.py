"""Getting a text: redirects, what is sent, how much is read."""

import gzip
import tracemalloc

import httpx2
import pytest

from retinue.domain.errors import EgressRefused
from retinue.egress import EgressPolicy, Fetched, fetch
from tests.unit.egress.internet import CLOSED, PUBLIC, Internet, answer, redirect

HOST = "site.example.com"
URL = f"https://{HOST}/"


async def fetched(
    internet: Internet, url: str = URL, *, max_bytes: int = 1000, max_redirects: int = 5, seconds: float = 10.0
) -> Fetched:
    async with internet.client() as client:
        return await fetch(
            client, CLOSED, url, asker="a", max_bytes=max_bytes, max_redirects=max_redirects, timeout=seconds
        )


async def served(page: bytes, *, max_bytes: int = 1000) -> Fetched:
    return await fetched(Internet({f"{HOST}/": page}), max_bytes=max_bytes)


async def test_a_text() -> None:
    came = await served(answer(body="Grüße".encode(), kind="Text/Plain; charset=utf-8"))
    assert came == Fetched(url=URL, status=200, content_type="text/plain", text="Grüße", is_cut=False)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_followed(status: str) -> None:
    internet = Internet({f"{HOST}/a/b": redirect("../c?d=1#e", status)})
    came = await fetched(internet, f"https://{HOST}/a/b")
    assert (came.url, came.text) == (f"https://{HOST}/c?d=1", "hello")
    assert internet.paths == [f"{HOST}/a/b", f"{HOST}/c?d=1"]


@pytest.mark.parametrize("status", ["300 Choices", "304 Not Modified", "305 Use Proxy"])
async def test_other_answers_of_their_kind_are_no_redirects(status: str) -> None:
    internet = Internet({f"{HOST}/": redirect("https://other.example.com/", status)})
    assert (await fetched(internet)).text is None
    assert internet.paths == [f"{HOST}/"]


async def test_a_redirect_to_nowhere_is_an_answer() -> None:
    came = await served(answer("302 Found", body=b"x"))
    assert (came.status, came.text) == (302, None)


def chain(length: int) -> Internet:
    """As many redirects, and then a text."""
    return Internet({f"{HOST}/{step or ''}": redirect(f"/{step + 1}") for step in range(length)})


async def test_five_redirects_and_no_more() -> None:
    assert (await fetched(chain(5))).url == f"{URL}5"
    longer = chain(6)
    with pytest.raises(EgressRefused) as caught:
        await fetched(longer)
    assert caught.value.problem_code == "too_many_redirects"
    assert longer.paths[-1] == f"{HOST}/5"
    none = chain(1)
    with pytest.raises(EgressRefused):
        await fetched(none, max_redirects=0)
    assert none.paths == [f"{HOST}/"]


async def test_no_way_back_from_https() -> None:
    internet = Internet({f"{HOST}/": redirect(f"http://{HOST}/plain")})
    with pytest.raises(EgressRefused, match="https to http"):
        await fetched(internet)
    assert internet.paths == [f"{HOST}/"]
    assert (await fetched(internet, f"http://{HOST}/")).url == f"http://{HOST}/plain"


async def test_a_redirect_that_cannot_be_read() -> None:
    for location in ("//[::1", "//[x]y/", "?" + "a" * 3000, "https:///x", "https:x", "mailto:a@example.com"):
        internet = Internet({f"{HOST}/": redirect(location)})
        with pytest.raises(EgressRefused):
            await fetched(internet)
        assert internet.paths == [f"{HOST}/"], location


async def test_nothing_is_sent_but_what_everybody_sends() -> None:
    away = answer(
        "302 Found", "Location: https://other.example.com/x", "Set-Cookie: id=1; Domain=example.com", body=b""
    )
    internet = Internet({f"{HOST}/": away})
    async with internet.client() as client:
        client.headers["Authorization"] = "Bearer secret"
        client.cookies.set("session", "secret", domain=HOST)
        await fetch(client, CLOSED, URL, asker="a", max_bytes=10, timeout=5.0)
    for head in internet.heads:
        names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:]}
        assert names == {"host", "user-agent", "accept", "accept-encoding"}
    assert len(internet.heads) == 2


async def test_the_operators_exceptions_hold() -> None:
    internet = Internet(names={"wiki": [["10.0.0.7"]]})
    policy = EgressPolicy(frozenset({"wiki:8080"}))
    async with internet.client(policy) as client:
        came = await fetch(client, policy, "http://wiki:8080/start", asker="a", max_bytes=10, timeout=5.0)
        with pytest.raises(EgressRefused):
            await fetch(client, policy, "http://wiki/start", asker="a", max_bytes=10, timeout=5.0)
    assert (came.text, internet.dialled) == ("hello", ["10.0.0.7"])


async def test_a_long_text_is_cut() -> None:
    exact, longer = await served(answer(body=b"x" * 1000)), await served(answer(body=b"x" * 1001))
    assert (exact.text, exact.is_cut) == ("x" * 1000, False)
    assert (longer.text, longer.is_cut) == ("x" * 1000, True)


async def test_an_endless_body_is_left() -> None:
    internet = Internet({f"{HOST}/": answer(body=b"x" * 5_000_000)})
    assert (await fetched(internet)).is_cut
    assert internet.unread > 4_000_000


async def test_a_packed_text() -> None:
    packed = gzip.compress(b"unpacked " * 10)
    came = await served(answer("200 OK", "Content-Encoding: GZIP", body=packed))
    assert (came.text, came.is_cut) == ("unpacked " * 10, False)


async def test_a_bomb_is_unpacked_no_further_than_asked() -> None:
    bomb = answer("200 OK", "Content-Encoding: gzip", body=gzip.compress(bytes(50_000_000)))
    tracemalloc.start()
    try:
        came = await served(bomb, max_bytes=100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(came.text or ""), came.is_cut) == (100_000, True)
    assert peak < 5_000_000


async def test_much_that_unpacks_to_nothing_is_left() -> None:
    """Deflate knows empty blocks: they cost the reader time and never add to the text."""
    empty = gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * 1_000_000
    internet = Internet({f"{HOST}/": answer("200 OK", "Content-Encoding: gzip", body=empty)})
    came = await fetched(internet)
    assert (came.text, came.is_cut) == ("", True)
    assert internet.unread > 4_000_000


async def test_a_packed_text_that_breaks_off_is_cut() -> None:
    packed = gzip.compress(b"a text")
    came = await served(answer("200 OK", "Content-Encoding: gzip", body=packed[:-8]))
    assert (came.text, came.is_cut) == ("a text", True)
    two = await served(answer("200 OK", "Content-Encoding: gzip", body=packed * 2))
    assert (two.text, two.is_cut) == ("a text", True)
    none = await served(answer("200 OK", "Content-Encoding: gzip", body=b""))
    assert (none.text, none.is_cut) == ("", False)


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "gzip, br", "x"])
async def test_packings_that_were_not_asked_for(coding: str) -> None:
    with pytest.raises(httpx2.DecodingError):
        await served(answer("200 OK", f"Content-Encoding: {coding}", body=gzip.compress(b"x")))


async def test_a_packing_that_is_none() -> None:
    with pytest.raises(httpx2.DecodingError):
        await served(answer("200 OK", "Content-Encoding: gzip", body=b"plain"))


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "ü".encode(), "ü"),
        ("text/plain", "ü".encode("latin-1"), "\N{REPLACEMENT CHARACTER}"),
        ("text/plain; charset=ISO-8859-1", "ü".encode("latin-1"), "ü"),
        ('text/plain; charset="windows-1252"', "€".encode("cp1252"), "€"),
        ("text/html; charset=Shift_JIS", "日本".encode("shift_jis"), "日本"),
        ("text/html", b'<meta charset="koi8-r">' + "д".encode("koi8-r"), '<meta charset="koi8-r">д'),
        ("text/plain; charset=latin-1", "\ufeffü".encode(), "ü"),
        ("text/plain", "ü".encode("utf-16"), "ü"),
        ("text/plain; charset=unheard-of", "ü".encode(), "ü"),
        ("text/plain; charset=punycode", b"ab-", "ab-"),
        ("text/plain; charset=utf-7", b"+AGE-", "+AGE-"),
        ("text/plain; charset=unicode_escape", b"\\x41", "\\x41"),
        ("text/plain; charset=rot13", b"abc", "abc"),
        ("text/plain; charset=hex", b"4142", "4142"),
    ],
)
async def test_charsets(kind: str, body: bytes, text: str) -> None:
    assert (await served(answer(body=body, kind=kind))).text == text


@pytest.mark.parametrize(
    "kind",
    [
        *("text/html", "text/markdown", "application/json", "application/problem+json", "application/atom+xml"),
        *("application/xhtml+xml", "APPLICATION/JSON; charset=utf-8", "application/yaml", "application/x-ndjson"),
    ],
)
async def test_texts(kind: str) -> None:
    assert (await served(answer(kind=kind))).text == "hello"


@pytest.mark.parametrize(
    "kind", ["image/png", "application/pdf", "application/octet-stream", "video/mp4", "multipart/mixed", "", "text"]
)
async def test_what_is_no_text_is_not_read(kind: str) -> None:
    internet = Internet({f"{HOST}/": answer(body=b"x" * 1_000_000, kind=kind)})
    came = await fetched(internet)
    assert (came.text, came.content_type) == (None, kind)
    assert internet.unread > 900_000


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "401 Who", "600 Odd"])
async def test_what_is_no_success_is_not_read(status: str) -> None:
    came = await served(answer(status, body=b"internals"))
    assert (came.status, came.text) == (int(status[:3]), None)


async def test_word_that_it_will_take_a_moment_is_no_answer() -> None:
    assert (await served(b"HTTP/1.1 102 Processing\r\n\r\n" + answer())).text == "hello"


async def test_the_pause_that_is_asked_for() -> None:
    assert (await served(answer("503 Busy", "Retry-After: 7"))).retry_after == 7.0
    assert (await served(answer("503 Busy"))).retry_after is None


@pytest.mark.parametrize("where", ["first", "second"])
async def test_silence_is_bounded(where: str) -> None:
    pages: dict[str, bytes | None] = (
        {f"{HOST}/": None} if where == "first" else {f"{HOST}/": redirect("/2"), f"{HOST}/2": None}
    )
    with pytest.raises(TimeoutError):
        await fetched(Internet(pages), seconds=0.05)


async def test_a_server_that_speaks_no_http() -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await served(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def test_space_around_and_inside() -> None:
    internet = Internet({f"{HOST}/": redirect(" /a b ")})
    assert (await fetched(internet, f"  {URL}#part\n")).url == f"{URL}a%20b"
    assert set(internet.dialled) == {PUBLIC}
