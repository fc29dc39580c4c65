"""The forms that single values must have. Messages name what is wrong and never repeat a secret."""

import base64
import binascii
import re
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

DATABASE_SCHEMES = ("sqlite+aiosqlite", "postgresql+asyncpg")
COORDINATION_SCHEMES = ("memory", "redis", "rediss")
MASTER_KEY_BYTES = 32

_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REDIS_DATABASE = re.compile(r"/?|/[0-9]{1,5}")
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def database_url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in DATABASE_SCHEMES:
        raise ValueError(
            "must be sqlite+aiosqlite:///<file> or postgresql+asyncpg://<user>:<password>@<host>/<database>"
        )
    if scheme.startswith("sqlite"):
        if not rest.startswith("/") or rest == "/" or ":memory:" in rest:
            raise ValueError("must name a file: sqlite+aiosqlite:///<file>")
        return value
    host, path = _split(value)
    if not (host or _names_socket(value)) or not path.strip("/"):
        raise ValueError("must name a host and a database: postgresql+asyncpg://<user>:<password>@<host>/<database>")
    return value


def coordination_url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in COORDINATION_SCHEMES:
        raise ValueError("must be memory:// or redis://<host>:<port>/<number> or rediss://<host>:<port>/<number>")
    if scheme == "memory":
        if rest:
            raise ValueError("memory:// takes nothing after it")
        return value
    host, path = _split(value)
    if not host:
        raise ValueError(f"must name a host: {scheme}://<host>:<port>/<number>")
    if not _REDIS_DATABASE.fullmatch(path):
        raise ValueError(f"must end with the number of a database: {scheme}://<host>:<port>/<number>")
    return value


def host_and_port(value: str) -> str:
    """`host:port`, exact: no scheme, no path, no pattern; an IPv6 address in brackets."""
    host, separator, port = value.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:
        raise ValueError(f"{value!r} is not host:port")
    if not _is_host(host):
        raise ValueError(f"{value!r} does not start with an exact host name or address")
    return f"{host.lower()}:{int(port)}"


def search_path(value: str) -> str:
    """Directories of programs. Relative ones would be looked up where a command is run, among files of a tenant."""
    if not value or not all(folder.startswith("/") for folder in value.split(":")):
        raise ValueError("must name absolute directories, separated by colons")
    return value


def master_keys(value: str) -> str:
    """A comma list of `id:base64 of 32 bytes`, newest first."""
    seen: set[str] = set()
    for number, entry in enumerate(_entries(value), start=1):
        key_id, separator, encoded = entry.partition(":")
        if not separator or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"entry {number} is not <id>:<base64 of {MASTER_KEY_BYTES} bytes>")
        if key_id in seen:
            raise ValueError(f"entry {number} repeats an id")
        seen.add(key_id)
        try:
            material = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"entry {number} is not base64") from None
        if len(material) != MASTER_KEY_BYTES:
            raise ValueError(f"entry {number} holds {len(material)} bytes, not {MASTER_KEY_BYTES}")
    return ",".join(_entries(value))


def master_key_materials(value: str) -> tuple[str, ...]:
    return tuple(entry.partition(":")[2] for entry in _entries(value))


def url_password(url: str) -> str | None:
    """The password inside a URL as it is written there, or None."""
    userinfo, separator, _ = url.partition("://")[2].split("/", 1)[0].rpartition("@")
    if not separator:
        return None
    return userinfo.partition(":")[2] or None


def url_user(url: str) -> str | None:
    """The user inside a URL, as meant, or None."""
    userinfo, separator, _ = url.partition("://")[2].split("/", 1)[0].rpartition("@")
    return (unquote(userinfo.partition(":")[0]) or None) if separator else None


def without_password(url: str) -> str:
    password = url_password(url)
    return url if password is None else url.replace(f":{password}@", ":***@", 1)


def spellings(secret: str) -> tuple[str, ...]:
    """A URL's password as written and as meant."""
    return tuple(dict.fromkeys((secret, unquote(secret))))


def _entries(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if any("user" in name or "password" in name for name in parse_qs(parts.query, keep_blank_values=True)):
        # It would be a second one of them, and is shown where the rest of the URL is.
        raise ValueError("must name a user and a password before the host, and none in what stands behind `?`")
    return parts.hostname or "", parts.path


def _names_socket(url: str) -> bool:
    """`?host=/folder` connects through the Unix socket in that folder."""
    return any(folder.startswith("/") for folder in parse_qs(urlsplit(url).query).get("host", ()))


def _is_host(host: str) -> bool:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return len(host) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in host.rstrip(".").split("."))
    return host.startswith("[") == (address.version == 6)
