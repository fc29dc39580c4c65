"""Connecting: one resolution, every answer checked, the checked address and no other."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import httpx2

from retinue.domain.errors import EgressRefused
from retinue.egress.addresses import is_public, parse_address
from retinue.egress.policy import EgressPolicy, check_target
from retinue.egress.streams import Network, Stream

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Turns a host name into addresses. Raises `socket.gaierror`, or `OSError` for trouble that may pass."""

_MAX_ANSWERS = 32
_UNKNOWN_NAME = frozenset(
    code for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if (code := getattr(socket, name, None)) is not None
)
_NOT_PUBLIC = "The host does not resolve to public addresses only."
"""Says the same for a name that does not exist, so that nobody can probe for names of the internal network."""


class GuardedNetwork(Network):
    """The network behind the guard. The host name stays what TLS verifies and what the Host header says."""

    def __init__(self, policy: EgressPolicy, resolve: Resolver, network: Network) -> None:
        self._policy = policy
        self._resolve = resolve
        self._network = network

    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:  # noqa: ASYNC109
        """Open a connection to the first checked address that answers; `timeout` covers resolution and all tries.

        Raises:
            EgressRefused: the target, or one of the addresses behind it, is neither public nor allowed.
            TooManyLookups: see `SystemResolver`.
            httpx2.ConnectError: no resolver or no address answered.
            httpx2.ConnectTimeout: not within `timeout`.
        """
        check_target(host, port, self._policy)
        try:
            async with asyncio.timeout(timeout) as whole:
                return await self._connect(await self._addresses(host, port), port, whole.when())
        except TimeoutError:
            raise httpx2.ConnectTimeout("connecting took too long") from None

    async def _addresses(self, host: str, port: int) -> list[str]:
        if parse_address(host) is not None:
            return [host]
        try:
            answers = (await self._resolve(host, port))[:_MAX_ANSWERS]
        except socket.gaierror as error:
            if error.errno in _UNKNOWN_NAME:
                raise EgressRefused(_NOT_PUBLIC) from None
            raise httpx2.ConnectError("the name could not be resolved") from None
        except (OSError, UnicodeError):
            raise httpx2.ConnectError("the name could not be resolved") from None
        if not answers or not (self._policy.allows(host, port) or all(map(_is_public_text, answers))):
            raise EgressRefused(_NOT_PUBLIC)
        return list(dict.fromkeys(answers))

    async def _connect(self, addresses: list[str], port: int, until: float | None) -> Stream:
        """Try one address after the other. Each gets its share of the time, so a dead first one cannot use it all."""
        failure: Exception = httpx2.ConnectError("no address")
        for place, address in enumerate(addresses):
            share = None
            if until is not None:
                share = max(until - asyncio.get_running_loop().time(), 0.0) / (len(addresses) - place)
            try:
                return await self._network.connect(address, port, share)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
        raise failure


def _is_public_text(answer: str) -> bool:
    address = parse_address(answer)
    return address is not None and is_public(address)
