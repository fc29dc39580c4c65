"""The limit: splits the upstream's events and frames them anew, with asyncio's own streams, and does nothing else.

`python -m tests.bench.services.relay UPSTREAM_PORT PORT`. What is sent to it goes to the upstream as the only message.
Nothing is kept, nobody is asked who they are, and connections to the upstream stay open.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from itertools import count

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_ASK = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n"
)
_BODY = b'{"stream":true,"messages":[{"role":"user","content":"%b"}]}'
_END = b"0\r\n\r\n"
_PIECE = 65536

Connection = tuple[StreamReader, StreamWriter]


class Relay:
    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._idle: list[Connection] = []

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One client: requests come one after the other."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await self._answer(await reader.readexactly(length), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, message: bytes, client: StreamWriter) -> None:
        connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._upstream)
        answer, upstream = connection
        body = _BODY % message
        upstream.write(_ASK % len(body) + body)
        client.write(_HEAD)
        rest, numbers = b"", count()
        while not rest.endswith(_END):
            piece = await answer.read(_PIECE)
            if not piece:
                raise ConnectionError("the upstream has closed the connection")
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                frame = b"id: %d\ndata: %b\n\n" % (next(numbers), event.partition(b"data: ")[2])
                client.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            await client.drain()
        client.write(_END)
        self._idle.append(connection)


async def _serve(port: int, upstream: int) -> None:
    server = await asyncio.start_server(Relay(upstream).serve, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[2]), int(sys.argv[1])))
