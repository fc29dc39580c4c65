"""Requests to the fake upstream, and what is read from its answers."""

from typing import Any

import msgspec
import pytest

from tests.support import http1
from tests.support.http1 import Response
from tests.support.upstream import (
    FakeUpstream,
)

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
PATHS = pytest.mark.parametrize("path", [CHAT, MESSAGES])


async def ask(
    upstream: FakeUpstream, path: str = CHAT, *, model: str = "any", content: str = "Hi there", **fields: Any
) -> Response:
    message = {"role": "user", "content": content}
    body = {"model": model, "stream": True, "max_tokens": 9, "messages": [message], **fields}
    return await http1.request(upstream.address, "POST", path, body=msgspec.json.encode(body))


async def read(upstream: FakeUpstream, path: str = CHAT, **fields: Any) -> Response:
    async with await ask(upstream, path, **fields) as response:
        await response.read()
        return response


def data_of(body: bytes | bytearray) -> list[Any]:
    lines = [line[6:] for line in bytes(body).splitlines() if line.startswith(b"data: ")]
    return [msgspec.json.decode(line) for line in lines if line != b"[DONE]"]


def text_of(response: Response) -> str:
    """The text in either dialect."""
    chat = [c["choices"][0]["delta"].get("content") for c in data_of(response.body) if c.get("choices")]
    blocks = [c["delta"].get("text") for c in data_of(response.body) if c.get("type") == "content_block_delta"]
    return "".join(piece for piece in chat + blocks if piece)


async def read_from(address: str) -> Response:
    body = b'{"model": "any", "stream": true, "messages": []}'
    async with await http1.request(address, "POST", CHAT, body=body) as response:
        await response.read()
        return response
