"""The relay once more, as lean as Python lets it be: uvloop and protocols without tasks. No goal is measured by it.

`python -m tests.bench.services.floor UPSTREAM_PORT PORT`. It does what the relay does.
"""

import asyncio
import sys
from itertools import count
from typing import cast

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_ASK = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\n"
    b'content-length: %d\r\n\r\n{"stream":true,"messages":[{"role":"user","content":"%b"}]}'
)
_AROUND = len(b'{"stream":true,"messages":[{"role":"user","content":""}]}')


class _Asking(asyncio.Protocol):
    """A connection to the upstream, used by one client at a time."""

    _transport: asyncio.Transport
    client: "_Client | None" = None

    def __init__(self, idle: "list[_Asking]") -> None:
        self._idle = idle
        self._rest = b""
        self._numbers = count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has kinds of its own

    def ask(self, client: "_Client", message: bytes) -> None:
        self.client = client
        self._rest, self._numbers = b"", count()
        self._transport.write(_ASK % (len(message) + _AROUND, message))

    def data_received(self, data: bytes) -> None:
        *events, self._rest = (self._rest + data).split(b"\n\n")
        framed = []
        for event in events:
            payload = event.partition(b"data: ")[2]
            frame = b"id: %d\ndata: %b\n\n" % (next(self._numbers), payload)
            framed.append(b"%x\r\n%b\r\n" % (len(frame), frame))
        if client := self.client:
            client.send(b"".join(framed))
            if self._rest.endswith(b"0\r\n\r\n"):
                client.end()
                self.client = None
                self._idle.append(self)


class _Client(asyncio.Protocol):
    _transport: asyncio.Transport

    def __init__(self, idle: list[_Asking], upstream: int) -> None:
        self._idle, self._upstream = idle, upstream
        self._received = b""
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has kinds of its own

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not separator or len(body) < length:
            return
        self._received = b""
        self._transport.write(_HEAD)
        if self._idle:
            self._idle.pop().ask(self, body)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(body))

    async def _connect(self, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, asking = await loop.create_connection(lambda: _Asking(self._idle), "127.0.0.1", self._upstream)
        asking.ask(self, body)

    def send(self, frames: bytes) -> None:
        self._transport.write(frames)

    def end(self) -> None:
        self._transport.write(b"0\r\n\r\n")


async def _serve(port: int, upstream: int) -> None:
    idle: list[_Asking] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(idle, upstream), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[2]), int(sys.argv[1])))
