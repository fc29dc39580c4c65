"""One connection to Redis that never waits longer than it was told to."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import hiredis
from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import RedisError, ResponseError

SECONDS = 1.0
"""Within which a connection is made, and within which a server answers."""

_T = TypeVar("_T")

Command = tuple[str | bytes | int, ...]


class Unreachable(Exception):
    """There is no connection any more. `reason` names the kind of failure and nothing of the server's text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Address:
    """Where a server is. Never shown: it holds the password.

    Raises:
        ValueError: the URL is none of Redis. The message does not repeat it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss"):
            raise ValueError("a Redis URL begins with redis:// or rediss://")
        query = "&".join(f"{name}={value}" for name, value in parse_qsl(parts.query) if name.startswith("ssl_"))
        options: dict[str, Any] = dict(parse_url(urlunsplit(parts._replace(query=query))))
        self._class: type[Connection] = options.pop("connection_class", Connection)
        self._options = options
        self.database = int(options.get("db", 0))

    def connection(self) -> Connection:
        """A connection that is not made yet: no retries and no timeouts of its own, so that ours are all there are."""
        return self._class(
            **self._options, socket_timeout=None, socket_connect_timeout=SECONDS, protocol=2, driver_info=None
        )


class Link:
    """Sends commands and reads their answers; makes its connection when it is needed and gives it up with any failure.

    One user at a time.
    """

    def __init__(self, address: Address) -> None:
        self._connection = address.connection()

    async def call(self, *commands: Command, wait: float = 0.0) -> list[Any]:
        """All answers, in order; what the server refused is a `ResponseError` among them.

        `wait` is how long the server may hold an answer back because it was asked to.

        Raises:
            Unreachable: it is unknown which of the commands were carried out.
        """
        return await self._guarded(self._call(commands), SECONDS + wait)

    async def send(self, command: Command) -> None:
        """Send without reading an answer.

        Raises:
            Unreachable: it may or may not have been sent.
        """
        await self._guarded(self._send(_pack(command)), SECONDS)

    async def receive(self, within: float) -> Any | None:
        """What the server says by itself; None if it says nothing within that time.

        Raises:
            Unreachable: it will never say anything here again.
        """
        return await self._guarded(self._connection.read_response(timeout=within), within + SECONDS)

    async def aclose(self) -> None:
        try:
            async with asyncio.timeout(SECONDS / 4):
                await self._connection.disconnect()
        except (RedisError, OSError, TimeoutError):
            pass

    async def _call(self, commands: tuple[Command, ...]) -> list[Any]:
        await self._send(b"".join([_pack(command) for command in commands]))
        return [await self._answer() for _ in commands]

    async def _send(self, data: bytes) -> None:
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]
        await self._connection.send_packed_command(data, check_health=False)

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response(disconnect_on_error=False)
        except ResponseError as refusal:
            return refusal

    async def _guarded(self, work: Awaitable[_T], seconds: float) -> _T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except (RedisError, OSError, TimeoutError) as error:
            await self._drop()
            raise Unreachable(type(error).__name__) from error
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        """Answers that are still to come must never be taken for those of the next call."""
        await self._connection.disconnect(nowait=True)


def _pack(command: Command) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed
