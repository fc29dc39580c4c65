"""How these tests talk to a server, and what every stream of it must be."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from retinue.domain.conversations import Conversation
from retinue.domain.messages import Message, MessageStatus
from tests.support import http1
from tests.support.client import API, RetinueClient, StreamedAnswer
from tests.support.server import RetinueServer
from tests.support.sse import EventStream, Frame
from tests.support.upstream import ThreadedUpstream

T = TypeVar("T")
Vendor = Literal["openai", "anthropic"]
VENDORS: tuple[Vendor, ...] = ("openai", "anthropic")
KEY = "sk-test-0123456789abcdef"
PATIENCE = 30.0
"""Seconds after which what has not happened never will."""

_COMMENTS = re.compile(rb"(?:: (?:keep-alive|connected)\n)*")
_FRAME = re.compile(rb"(id: ([0-9a-f-]{36}):(\d+)-(\d+)\n)?event: ([a-z_.]+)\ndata: (\{[^\n]*\})\n\n")


async def hire(
    client: RetinueClient, upstream: ThreadedUpstream, vendor: Vendor = "openai", model: str = "echo", **config: Any
) -> Conversation:
    """A conversation whose employee asks the fake upstream."""
    url = upstream.openai_url if vendor == "openai" else upstream.anthropic_url
    return await client.hire(vendor, model, llm_base_url=url, llm_api_key=KEY, **config)


async def more_conversations(client: RetinueClient, like: Conversation, count: int) -> list[Conversation]:
    """Further conversations with the same employee."""
    return [await client.create_conversation(like.tenant_id, like.employee_id) for _ in range(count)]


async def open_stream(
    client: RetinueClient,
    conversation: UUID,
    content: str = "Hello",
    *,
    last_event_id: str | None = None,
    protocol: str | None = None,
    key: str | None = None,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> http1.Response:
    """The response to a post of a message, whatever its status. Fields are those of the body."""
    path = f"/conversations/{conversation}/messages/stream" + (f"?protocol={protocol}" if protocol else "")
    given = {"last-event-id": last_event_id, "idempotency-key": key}
    place = {name: value for name, value in given.items() if value is not None}
    return await client._open("POST", path, {"content": content, **fields}, None, {**place, **(headers or {})})


async def begin(client: RetinueClient, conversation: UUID, content: str = "Hello", **options: Any) -> EventStream:
    """The stream of the answer to a message; see `open_stream`."""
    response = await open_stream(client, conversation, content, **options)
    assert response.status == 200, await response.read()
    return EventStream(response)


async def resume(
    client: RetinueClient, conversation: UUID, last_event_id: str, *, protocol: str | None = None
) -> EventStream:
    """The stream that goes on after an event."""
    return await begin(client, conversation, last_event_id=last_event_id, protocol=protocol)


async def problem(response: http1.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document that this response must be."""
    body = await response.read()
    document: dict[str, Any] = msgspec.json.decode(body)
    assert (response.status, document["code"]) == (status, code), document
    assert response.header("content-type") == "application/problem+json"
    return document


async def connect(server: RetinueServer, *, receive_buffer: int | None = None) -> http1.Response:
    """A connection over which nothing was sent yet, with as little room for unread bytes as the test wants."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    return http1.Response(*await asyncio.open_connection(sock=sock, limit=receive_buffer or 65_536))


def request_bytes(server: RetinueServer, path: str, body: object, more: dict[str, str] | None = None) -> bytes:
    """A POST with the operator key, as it goes over the wire."""
    content = msgspec.json.encode(body)
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json", **(more or {})}
    return http1._head("POST", API + path, server.address, content, headers) + content


async def eventually(probe: Callable[[], Awaitable[T | None]], *, within: float = PATIENCE) -> T:
    """What the probe finds, as soon as it finds something.

    Raises:
        TimeoutError: it found nothing in time.
    """
    async with asyncio.timeout(within):
        while (found := await probe()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def settled(client: RetinueClient, conversation: UUID, *, within: float = PATIENCE) -> list[Message]:
    """The messages, as soon as there is an answer and no run writes any more."""

    async def probe() -> list[Message] | None:
        messages = await client.messages(conversation)
        is_over = len(messages) > 1 and all(m.status is not MessageStatus.STREAMING for m in messages)
        return messages if is_over else None

    return await eventually(probe, within=within)


async def after_tokens(stream: EventStream, count: int) -> Frame:
    """Read on until so many more tokens have come; the last of them."""
    tokens = [await stream.until("token") for _ in range(count)]
    return tokens[-1]


def check_stream(frames: Sequence[Frame]) -> StreamedAnswer:
    """A whole stream of the `messages` protocol, from its first frame to its end, byte by byte."""
    check_frames(frames)
    answer = StreamedAnswer(list(frames))
    assert answer.types[0] == "message_start", answer.types
    assert answer.types[-1] == "message_end", answer.types
    assert answer.types.count("message_start") == answer.types.count("message_end") == 1
    has_failed = answer.end["status"] == "failed"
    assert answer.types.count("message_error") == (1 if has_failed else 0)
    assert not has_failed or answer.types[-2] == "message_error"
    return answer


def check_frames(frames: Sequence[Frame]) -> None:
    """Grammar, identity and order of one run's frames that follow each other."""
    positions: list[tuple[int, int]] = []
    for frame in frames:
        found = _FRAME.fullmatch(_COMMENTS.sub(b"", frame.raw, count=1))
        assert found, frame.raw
        assert frame.event == frame.json["type"]
        assert found[2] or frame.event == "message_error"
        if found[2]:
            assert found[2].decode() == frame.json["run_id"]
            positions.append((int(found[3]), int(found[4])))
    assert positions == sorted(set(positions)), positions
