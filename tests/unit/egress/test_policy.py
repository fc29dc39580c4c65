"""The egress guard: which URLs and addresses pass."""

import pytest

from retinue.domain.errors import EgressRefused
from retinue.egress import EgressPolicy, check_url, origin_of
from tests.unit.egress.addresses import REFUSED_ADDRESSES

CLOSED = EgressPolicy()
PUBLIC = "93.184.216.34"


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_addresses_that_are_not_the_internet(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(EgressRefused) as caught:
        check_url(f"https://{host}/v1", CLOSED)
    assert caught.value.problem_code == "egress_refused"
    assert caught.value.status == 422
    assert address not in caught.value.detail


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "[2606:2800:220:1:248:1893:25c8:1946]"])
def test_addresses_of_the_internet(address: str) -> None:
    assert check_url(f"https://{address}/v1", CLOSED) == f"https://{address}/v1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "gopher://api.example.com",
        "http:///v1",
        "http://",
        "https://user@api.example.com",
        "https://user:pass@api.example.com",
        "https://api.example.com@127.0.0.1",
        "https://api.example.com\\@127.0.0.1",
        "https://api.example.com#@127.0.0.1/",
        "https://127.0.0.1#.example.com",
        "https://api.example.com/#",
        "https://api.example.com:",
        "https://api.example.com:0",
        "https://api.example.com:99999",
        "https://api.example.com:8443",
        "https://api.example.com:22",
        "https://api.example.com:443:443",
        "https://api.example.com:４４３",
        "https://api.example.com:-443",
        "https://api.exa mple.com",
        "https://api.example.com\n.evil.com",
        " https://api.example.com",
        "https://api.example.com\t",
        "https://api%2eexample.com",
        "https://%31%32%37.0.0.1",
        "https://localhost",
        "https://LOCALHOST/v1",
        "https://metadata.google.internal",
        "https://printer.local",
        "https://a.localhost",
        "https://metadata",
        "https://api.example.com.",
        "https://127.0.0.1.",
        "https://.example.com",
        "https://api..example.com",
        "https://-api.example.com",
        "https://" + "a" * 64 + ".com",
        "https://" + "a." * 127 + "com",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://0177.0.0.1",
        "https://127.1",
        "https://127.0.0.01",
        "https://1.2.3.4.5",
        "https://example.0x",
        "https://１２７.0.0.1",
        "https://127。0。0。1",
        "https://ⓛocalhost.com",
        "https://api.example\u200b.com",
        "https://[::1]",
        "https://[::1%25eth0]",
        "https://[fe80::1%eth0]",
        "https://[v1.fe80::1]",
        "https://[127.0.0.1]",
        "https://[::1",
        "https://::1/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]evil.com/",
        "https://api.example.com/" + "a" * 2048,
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        check_url(url, CLOSED)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("HTTPS://API.Example.COM:443/V1?q=1", "https://api.example.com/V1?q=1"),
        ("http://api.example.com:80/", "http://api.example.com/"),
        ("https://api.example.com:80/v1", "https://api.example.com:80/v1"),
        ("https://my_host.example.com/v1", "https://my_host.example.com/v1"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("https://1a.example.com", "https://1a.example.com"),
    ],
)
def test_urls_that_pass_are_normalised(url: str, normal: str) -> None:
    assert check_url(url, CLOSED) == normal


def test_the_operator_opens_exact_hosts_and_ports() -> None:
    policy = EgressPolicy(frozenset({"127.0.0.1:9000", "ollama:11434", "[::1]:9000", "gw.internal:443"}))
    for url in ("http://127.0.0.1:9000/v1", "http://OLLAMA:11434", "http://[0:0::1]:9000/v1", "https://gw.internal/v1"):
        check_url(url, policy)
    for url in ("http://127.0.0.1:9001", "http://127.0.0.1", "http://ollama", "http://x.ollama:11434", "http://[::1]"):
        with pytest.raises(EgressRefused):
            check_url(url, policy)


@pytest.mark.parametrize(
    "entry", ["ollama", "Ollama:1", "ollama:", "ollama:0", "a b:1", "::1:80", "*:80", "http://a:80"]
)
def test_an_entry_that_cannot_match_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        EgressPolicy(frozenset({entry}))


def test_origins() -> None:
    assert origin_of("HTTPS://Api.Example.com:443/v1?x=1") == "https://api.example.com"
    assert origin_of("http://127.0.0.1:9000/v1") == "http://127.0.0.1:9000"
    assert origin_of("http://[::1]:443/") == "http://[::1]:443"
    with pytest.raises(EgressRefused):
        origin_of("api.example.com")
