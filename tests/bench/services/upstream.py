"""A model provider that costs next to nothing: chat completions whose tokens say when they were sent.

`python -m tests.bench.services.upstream PORT`. The message says how many tokens, how far apart, after how many
tool calls.
"""

import asyncio
import sys
from typing import cast

import uvloop

from tests.bench.plan import Plan, stamp

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_OPENING = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,'
_TOKEN = _OPENING.decode() + '"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
_FIRST = _OPENING + b'"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
_STOP = _OPENING + b'"delta":{},"finish_reason":"stop"}]}\n\n'
_CALL = (
    _OPENING + b'"delta":{"tool_calls":[{"index":0,"id":"call_%d","type":"function","function":'
    b'{"name":"calculate","arguments":"{\\"expression\\":\\"%d+1\\"}"}}]},"finish_reason":null}]}\n\n'
)
_CALLED = _OPENING + b'"delta":{},"finish_reason":"tool_calls"}]}\n\n'
_USAGE = (
    'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":[],'
    '"usage":{"prompt_tokens":50,"completion_tokens":%d,"total_tokens":%d}}\n\ndata: [DONE]\n\n'
)
_END = b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _token() -> bytes:
    return _chunk((_TOKEN % stamp()).encode())


class Upstream(asyncio.Protocol):
    """One connection; requests come one after the other."""

    _transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received = b""
        self._is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has kinds of its own

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._is_open = False

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._received = body[length:]
            self._answer(body[:length])

    def _answer(self, body: bytes) -> None:
        plan = Plan.last_of(body)
        newest = body.rpartition(b'"role":"user"')[2]
        made = newest.count(b'"role":"tool"') or newest.count(b'"role": "tool"')
        self._transport.write(_HEAD + _chunk(_FIRST))
        if made < plan.calls:
            self._transport.write(_chunk(_CALL % (made, made)) + _chunk(_CALLED))
            self._end(1)
        elif plan.gap_ms:
            self._drip(plan.tokens, plan.gap_ms / 1000, self._loop.time(), plan.tokens)
        else:
            for _ in range(plan.tokens):
                self._transport.write(_token())
            self._end(plan.tokens)

    def _drip(self, left: int, gap: float, due: float, tokens: int) -> None:
        if not self._is_open:
            return
        self._transport.write(_token())
        if left > 1:
            # Counted from when it was due, or a late one would make all further ones late.
            self._loop.call_at(due + gap, self._drip, left - 1, gap, due + gap, tokens)
        else:
            self._end(tokens)

    def _end(self, tokens: int) -> None:
        if self._is_open:
            usage = (_USAGE % (tokens, tokens + 50)).encode()
            self._transport.write(_chunk(_STOP) + _chunk(usage) + _END)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(loop), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
