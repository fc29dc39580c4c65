"""Keeps a server on this machine, whatever address made-up requests choose; see `tests.support.fork_template`."""

import socket
from typing import Any, NoReturn

import httpx2

from retinue.egress.network import GuardedNetwork
from retinue.tools.base import Tool
from tests.support.network import is_address, is_local

_getaddrinfo = socket.getaddrinfo


def tools() -> list[Tool[Any]]:
    """None; who asks for them finds that names are not resolved and addresses not reached."""
    vars(socket)["getaddrinfo"] = _resolve_nothing
    GuardedNetwork._connect = _reach_nothing  # type: ignore[method-assign, assignment]
    return []


def _resolve_nothing(host: Any, *args: Any, **kwargs: Any) -> Any:
    if not is_local(host) and not is_address(host):
        raise socket.gaierror(socket.EAI_AGAIN, "tests resolve nothing")
    return _getaddrinfo(host, *args, **kwargs)


async def _reach_nothing(*_: Any) -> NoReturn:
    raise httpx2.ConnectError("tests reach nothing")
