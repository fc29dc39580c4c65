"""No test talks to anybody but this machine.

Connecting or resolving beyond the loopback raises, and the test fails even if the code under test caught that.
"""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest


class NetworkForbidden(AssertionError):
    """A test tried to leave the machine."""


attempts: list[str] = []
"""What was tried since the current test began. A test that tries on purpose clears it."""


def is_local(host: object) -> bool:
    """Whether this is the loopback, by address or by its one well-known name."""
    if host in {None, "", "localhost", b"localhost"}:
        return True
    try:
        return ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_address(host: object) -> bool:
    """Whether resolving needs no name server."""
    try:
        ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def forbid(what: str) -> None:
    attempts.append(what)
    raise NetworkForbidden(f"tests may not use the network: {what}")


_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _check(sock: socket.socket, address: Any) -> None:
    if sock.family in {socket.AF_INET, socket.AF_INET6} and not is_local(address[0]):
        forbid(f"connect to {address[0]}:{address[1]}")


def guarded_connect(self: socket.socket, address: Any) -> None:
    _check(self, address)
    _connect(self, address)


def guarded_connect_ex(self: socket.socket, address: Any) -> int:
    _check(self, address)
    return _connect_ex(self, address)


def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    if not is_local(host) and not is_address(host):
        forbid(f"resolve {host!r}")
    return _getaddrinfo(host, *args, **kwargs)


@pytest.fixture(scope="session", autouse=True)
def network_guard() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[None]:
    attempts.clear()
    yield
    tried = list(attempts)
    attempts.clear()
    assert not tried, f"the test tried to use the network: {tried}"
