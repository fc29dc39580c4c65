"""What may be asked for: the grammar of URLs, the ports, the operator's exceptions."""

import re
from functools import lru_cache
from typing import NamedTuple

import idna
import msgspec

from retinue.domain.errors import EgressRefused
from retinue.egress.addresses import is_public, parse_address

MAX_URL_LENGTH = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
_PUBLIC_PORTS = frozenset(DEFAULT_PORTS.values())
_URL = re.compile(r"(?i)(https?)://([^/?#]*)((?:/[^?#]*)?)(\?[^#]*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@%]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_SUFFIXES = (
    *(".localhost", ".local", ".internal", ".home.arpa", ".onion"),
    *(".intranet", ".private", ".corp", ".home", ".lan"),  # RFC 6762, appendix G: private use, never delegated
    *(".localdomain", ".svc"),
)


class Target(NamedTuple):
    """Where a URL leads. `host` is lower case, in ASCII, and an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port as RFC 6454 writes them: the default port is left out."""
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{bracketed(self.host)}{port}"


class EgressPolicy(msgspec.Struct, frozen=True):
    """The operator's exceptions. Without any, only ports 80 and 443 of public addresses are reachable."""

    allow: frozenset[str] = frozenset()
    """Exact `host:port` as it stands in a URL, IPv6 addresses in brackets. An allowed name may resolve to anything."""

    def __post_init__(self) -> None:
        """Refuse entries that could never match, so that a typing error is seen at start.

        Raises:
            ValueError: an entry is not `host:port` in lower case.
        """
        for entry in self.allow:
            host, _, port = entry.rpartition(":")
            if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536 or not _is_canonical(host):
                raise ValueError(f"not an exact host:port: {entry!r}")

    def allows(self, host: str, port: int) -> bool:
        """Whether the operator opened this very host and port."""
        return f"{bracketed(host)}:{port}" in self.allow


def check_url(url: str, policy: EgressPolicy) -> str:
    """Judge a URL by its form alone: no name is resolved.

    Returns:
        The URL with scheme and host in lower case and the host in ASCII.

    Raises:
        EgressRefused: its form is not strict enough, or it names a port or an address that is not open.
    """
    target, rest = _parse(url)
    check_target(target.host, target.port, policy)
    return target.origin + rest


def check_target(host: str, port: int, policy: EgressPolicy) -> None:
    """Judge host and port, and the address if the host is one.

    Raises:
        EgressRefused: neither public nor allowed by the operator.
    """
    if policy.allows(host, port):
        return
    if port not in _PUBLIC_PORTS:
        raise EgressRefused("Only the ports 80 and 443 can be reached.")
    address = parse_address(host)
    if address is not None:
        if not is_public(address):
            raise EgressRefused("The address is not on the public internet.")
        return
    if _ends_in_number(host) or "." not in host or host.endswith(_LOCAL_SUFFIXES):
        raise EgressRefused("The host is not a name on the public internet.")


@lru_cache(maxsize=1024)
def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, in lower case and without a default port.

    Raises:
        EgressRefused: not an absolute http or https URL in strict form.
    """
    return _parse(url)[0].origin


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _parse(url: str) -> tuple[Target, str]:
    if len(url) > MAX_URL_LENGTH or any(char <= " " or char in "\\\x7f" for char in url):
        raise EgressRefused("The URL is too long or contains characters that do not belong there.")
    matched = _URL.fullmatch(url)
    if matched is None:
        raise EgressRefused("The URL must be absolute, start with http:// or https:// and have no fragment.")
    scheme = matched[1].lower()
    authority = _AUTHORITY.fullmatch(matched[2])
    if authority is None:
        raise EgressRefused("The URL must name a plain host, without user information.")
    port = int(authority[2]) if authority[2] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise EgressRefused("The port of the URL does not exist.")
    return Target(scheme, _host(authority[1]), port), matched[3] + (matched[4] or "")


def _host(text: str) -> str:
    if text.startswith("["):
        address = parse_address(text[1:-1])
        if address is None or address.version != 6:
            raise EgressRefused("The IPv6 address of the URL cannot be read.")
        return str(address)
    host = _ascii(text.lower())
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise EgressRefused("The host of the URL cannot be read.")
    if _ends_in_number(host) and parse_address(host) is None:
        raise EgressRefused("An IPv4 address must be written as four decimal numbers.")
    return host


def _ascii(host: str) -> str:
    """IDNA 2008 without mappings: whatever looks like ASCII but is not (full-width digits, other dots) is refused."""
    if host.isascii():
        return host
    if any(dot in host for dot in "\u3002\uff0e\uff61"):
        raise EgressRefused("The host of the URL cannot be read.")
    try:
        return idna.encode(host).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise EgressRefused("The host of the URL cannot be read.") from None


def _ends_in_number(host: str) -> bool:
    """Such a host is an IPv4 address to some readers: decimal, octal or hexadecimal (WHATWG URL, 3.5)."""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _is_canonical(host: str) -> bool:
    try:
        return bracketed(_host(host)) == host
    except EgressRefused:
        return False
