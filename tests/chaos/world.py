"""What the chaos suites share: replicas, scripted answers, and Retinue's API for runs as its users call it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.conversations import Conversation
from tests.e2e.streams.runs import Protocol
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import KEY
from tests.support import http1
from tests.support.client import RetinueClient
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream
from tests.support.upstream.recording import RecordedRequest

LEASE_SECONDS = 2.0
"""Where processes get lost; a module that wants it says `LEASE = LEASE_SECONDS`."""
RECOVERY_SECONDS = LEASE_SECONDS + 5.0
"""After its process was lost a run has a new owner, or has ended, within so many seconds."""
PATIENCE = 60.0

StartReplicas = Callable[..., AbstractContextManager[Replicas]]
"""Starts two replicas with these settings on a database of their own."""


async def hire(client: RetinueClient, upstream: ThreadedUpstream, model: str = "echo", **fields: Any) -> Conversation:
    """A conversation whose employee asks the fake upstream."""
    return await client.hire("openai", model, llm_base_url=upstream.openai_url, llm_api_key=KEY, **fields)


async def send(
    client: RetinueClient,
    conversation: UUID,
    content: str,
    *,
    key: str | None = None,
    last_event_id: str | None = None,
    protocol: Protocol = "messages",
    **fields: Any,
) -> http1.Response:
    """The response to a message whose answer is to be streamed, whatever its status."""
    headers = {} if key is None else {"idempotency-key": key}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    path = f"/conversations/{conversation}/messages/stream?protocol={protocol}"
    return await client._open("POST", path, {"content": content, **fields}, None, headers)


async def begin(client: RetinueClient, conversation: UUID, content: str, **fields: Any) -> EventStream:
    """The stream of the answer to a message."""
    response = await send(client, conversation, content, **fields)
    return await _stream(response)


async def follow(
    client: RetinueClient, run: UUID | str, after: str | None = None, protocol: Protocol = "events"
) -> EventStream | None:
    """A run's stream after an event, as an EventSource asks for it; None where nothing will follow (204)."""
    headers = {} if after is None else {"last-event-id": after}
    response = await client._open("GET", f"/runs/{run}/stream?protocol={protocol}", None, None, headers)
    if response.status == 204:
        await response.read()
        await response.close()
        return None
    return await _stream(response)


async def _stream(response: http1.Response) -> EventStream:
    if response.status != 200:
        body = await response.read()
        await response.close()
        raise AssertionError(f"{response.status}: {body.decode(errors='replace')}")
    return EventStream(response)


async def followed(
    client: RetinueClient, run: UUID | str, after: str | None = None, protocol: Protocol = "events"
) -> EventStream:
    """A run's stream, which must have something to say."""
    stream = await follow(client, run, after, protocol)
    assert stream is not None, f"204 for {run} after {after}"
    return stream


def asked_for(upstream: ThreadedUpstream, marker: str) -> list[RecordedRequest]:
    """The requests whose last user message carries this marker."""
    return [request for request in list(upstream.requests) if marker in _last_user(request.body)]


def _last_user(body: Any) -> str:
    users = [turn["content"] for turn in body["messages"] if turn["role"] == "user"] if isinstance(body, dict) else []
    last = users[-1] if users else ""
    return last if isinstance(last, str) else msgspec.json.encode(last).decode()
