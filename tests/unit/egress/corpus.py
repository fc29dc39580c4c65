"""URLs that must lead nowhere, and URLs that must lead somewhere."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from tests.unit.egress.addresses import REFUSED_ADDRESSES

PRIVATE_V4 = (
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "198.18.0.1", "255.255.255.255"),
)
PRIVATE_V6 = ("::1", "::", "fe80::1", "fc00::1", "fd12:3456:789a::1", "fec0::1", "ff02::1", "2001:db8::1")
METADATA = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192")


def spellings_of_v4(text: str) -> Iterator[str]:
    """Every way of writing an IPv4 address that some reader of URLs understands."""
    address = IPv4Address(text)
    number, parts = int(address), list(address.packed)
    a, b, c, d = parts
    low = number & 0xFFFFFF
    yield text
    yield str(number)
    yield f"0x{number:x}"
    yield f"0X{number:08X}"
    yield f"0{number:o}"
    yield f"{number:#b}"
    yield ".".join(f"0{part:o}" for part in parts)
    yield ".".join(f"0{part:03o}" for part in parts)
    yield ".".join(f"0x{part:x}" for part in parts)
    yield f"{a:#x}.0{b:o}.{c}.{d}"
    yield f"{a}.{low}"
    yield f"{a:#x}.{low:#x}"
    yield f"{a}.{b}.{low & 0xFFFF}"
    yield ".".join(f"{part:03d}" for part in parts[:3]) + f".{d:04d}"
    yield f"{number + 2**32}"
    yield f"{a + 256}.{b}.{c}.{d}"
    yield f"{text}."
    yield f"{text}.0"
    yield text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    yield text.translate(str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨"))
    yield text.replace(".", "\u3002")
    yield text.replace(".", "\uff0e")
    yield "".join(f"%{ord(char):02x}" for char in text)
    yield text.replace(".", "%2e")


def v6_around(text: str) -> Iterator[str]:
    """IPv6 addresses that carry an IPv4 address, as hosts of a URL."""
    number = int(IPv4Address(text))
    high, low = number >> 16, number & 0xFFFF
    yield f"[::ffff:{text}]"
    yield f"[::ffff:{high:x}:{low:x}]"
    yield f"[0:0:0:0:0:FFFF:{high:04X}:{low:04X}]"
    yield f"[::{text}]"
    yield f"[64:ff9b::{high:x}:{low:x}]"
    yield f"[64:ff9b:1::{high:x}:{low:x}]"
    yield f"[2002:{high:x}:{low:x}::1]"
    yield f"[2001:0:{high:x}:{low:x}::1]"
    yield f"[2001::{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}]"
    yield f"[::ffff:0:{text}]"


def spellings_of_v6(text: str) -> Iterator[str]:
    address = IPv6Address(text)
    yield f"[{address.compressed}]"
    yield f"[{address.exploded}]"
    yield f"[{address.exploded.upper()}]"
    yield f"[{address.compressed}%eth0]"
    yield f"[{address.compressed}%25eth0]"
    yield f"[{address.compressed}%250]"


HOSTS = tuple(
    dict.fromkeys(
        [
            *(host for address in (*PRIVATE_V4, *METADATA) for host in spellings_of_v4(address)),
            *(host for address in PRIVATE_V4 for host in v6_around(address)),
            *(host for address in PRIVATE_V6 for host in spellings_of_v6(address)),
            *(f"[{address}]" if ":" in address else address for address in REFUSED_ADDRESSES),
        ]
    )
)
"""Spellings of private space."""

NAMES = (
    *("localhost", "LOCALHOST", "localhost.", "localhost.localdomain.", "sub.localhost", "loca\u212ahost"),
    *("ip6-localhost", "kubernetes.default.svc", "metadata", "metadata.google.internal", "metadata.google.internal."),
    *("instance-data", "consul", "redis", "postgres", "printer.local", "router.home.arpa", "hidden.onion"),
    *("example.com@127.0.0.1", "127.0.0.1@example.com", "user:password@example.com", ":@example.com", "@example.com"),
    *("example.com:22", "example.com:6379", "example.com:5432", "example.com:8080", "example.com:0"),
    *("example.com:65536", "example.com:443:80", "example.com:", "example.com:+80", "example.com: 80"),
    *("127.0.0.1:80", "[::1]:443", "127.0.0.1:6379", "[::]:80", "[::1", "::1", "[]", "[127.0.0.1]"),
    *("example.com\\@127.0.0.1", "127.0.0.1\\.example.com", "example.com%00.127.0.0.1", "127.0.0.1%00.example.com"),
    *("exa\tmple.com", "exa\nmple.com", "exa\rmple.com", "example.com\x00", "exam\u200bple.com", "example\u3002com"),
    *(".example.com", "example..com", "-example.com", "example-.com", "a" * 64 + ".com", "*.example.com"),
    *("example.com,127.0.0.1", "example.com;127.0.0.1", "example.com&127.0.0.1", "$(id).example.com", "{a,b}.com"),
    "",
)
"""Names, ports and tricks with what stands between `//` and `/`."""

FORMS = (
    *("", "example.com", "//example.com/", "/etc/passwd", "http:example.com", "http:/example.com", "http:///x"),
    *("file:///etc/passwd", "ftp://example.com/", "gopher://example.com:70/_x", "dict://example.com:2628/d"),
    *(
        "ldap://example.com/",
        "jar:http://example.com!/",
        "data:text/plain,hi",
        "javascript:alert(1)",
        "ws://example.com",
    ),
    *("unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "netdoc:///etc/passwd", "about:blank"),
    *(
        "ht\ntp://example.com",
        "http://example.com/\r\nHost: 127.0.0.1",
        "http://example.com/ HTTP/1.1",
        "view-source:http://example.com",
    ),
    *(
        "http:\\\\example.com",
        "http://example.com\\..\\",
        "https://[x]y/#a",
        "\\\\example.com\\share",
        "http://example.com/" + "a" * 3000,
    ),
)
"""Whole texts that are no http or https URL in strict form."""

HOSTILE = tuple(
    dict.fromkeys(
        [
            *(f"{scheme}://{host}/latest/meta-data/" for host in HOSTS for scheme in ("http", "https")),
            *(f"{scheme}://{host}/" for host in NAMES for scheme in ("http", "https")),
            *FORMS,
        ]
    )
)

PUBLIC_URLS = (
    *("https://example.com", "http://example.com", "https://example.com/", "HTTPS://EXAMPLE.COM/Path"),
    *("https://example.com:443/", "http://example.com:80/", "https://example.com:80/", "http://example.com:443/"),
    *(
        "https://www.example.co.uk/a/b?c=d&e=f",
        "https://example.com/?u=http://127.0.0.1/",
        "https://example.com/@127.0.0.1",
    ),
    *(
        "https://example.com/a%2Fb%20c",
        "https://example.com/a;b=c,d",
        "https://example.com/#part",
        "https://example.com/x#@10.0.0.1",
    ),
    *(
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://例え.テスト/",
        "https://пример.рф/",
        "https://straße.de/",
    ),
    *("https://my_host.example.com/", "https://a-b.example.com/", "https://1and1.com/", "https://9.example.com/"),
    *(
        "https://localhost.example.com/",
        "https://internal.example.com/",
        "https://local.example/",
        "https://x.internals.io/",
    ),
    *("https://127.0.0.1.example.com/", "https://10-0-0-1.example.com/", "https://metadata.example.com/"),
    *(
        "http://8.8.8.8/",
        "https://1.1.1.1/",
        "https://93.184.216.34/x",
        "http://11.0.0.1/",
        "http://172.15.0.1/",
        "http://172.32.0.1/",
    ),
    *(
        "http://100.63.255.255/",
        "http://100.128.0.1/",
        "http://169.253.0.1/",
        "http://192.167.0.1/",
        "http://198.17.0.1/",
    ),
    *("http://198.20.0.1/", "http://223.255.255.1/", "http://126.255.255.254/", "http://128.0.0.1/"),
    *(
        "https://[2606:4700:4700::1111]/",
        "https://[2001:4860:4860::8888]/",
        "https://[2A00:1450:4001:0830:0:0:0:200E]/",
    ),
    *(
        "https://[2600::]/",
        "https://example.com/über/weg?q=ä",
        "https://example.com/a?b?c",
        "https://example.com//double",
    ),
)
"""What looks a little like the others and is harmless."""

BEHIND_A_NAME = (
    *([address] for address in REFUSED_ADDRESSES),
    *(["93.184.216.34", address] for address in REFUSED_ADDRESSES),
    *([address, "93.184.216.34"] for address in ("127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fd00::1")),
    *(
        ["2606:4700:4700::1111", "::ffff:127.0.0.1"],
        ["127.0.0.1", "::1"],
        ["fe80::1%eth0"],
        ["0177.0.0.1"],
        ["text"],
        [],
    ),
)
"""What a name may resolve to so that nobody may connect to any of it."""
