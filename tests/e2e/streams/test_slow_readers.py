"""A reader that takes its time slows nobody but itself."""

import asyncio
from hashlib import sha256
from statistics import median
from time import monotonic

import psutil
import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.talk import (
    check_stream,
    connect,
    hire,
    more_conversations,
    request_bytes,
    resume,
    settled,
)
from tests.support import http1
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, says

pytestmark = pytest.mark.slow

LONG = [f"{number:04} " + "😀" * 190 for number in range(5000)]
"""Some four megabytes: more than the sockets between server and client can hold."""
OTHERS = 20
RATIO = 2.5
"""How much slower the others may be. They wait for the provider's pace, so they are not slower at all."""
ROOM = 64 * 1024 * 1024
"""Bytes that the server may grow by while it keeps four megabytes for somebody who does not take them."""


async def _stop_reading(server: RetinueServer, conversation: Conversation) -> http1.Response:
    """A response of which nothing but the head has been read, on a socket with hardly any room."""
    response = await connect(server, receive_buffer=4096)
    path = f"/conversations/{conversation.id}/messages/stream"
    response._writer.write(request_bytes(server, path, {"content": "Hello"}))
    await response.read_head()
    assert response.status == 200
    return response


async def _median_duration(client: RetinueClient, conversations: list[Conversation]) -> float:
    """How long the streams of the others last, in seconds."""

    async def one(conversation: Conversation) -> float:
        since = monotonic()
        answer = await client.ask(conversation.id, "Hello")
        assert answer.end["status"] == "completed"
        return monotonic() - since

    async with asyncio.timeout(60):
        return median(await asyncio.gather(*(one(conversation) for conversation in conversations)))


def _memory(server: RetinueServer) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


async def test_the_others_are_not_delayed_and_the_slow_one_gets_everything(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    first = await hire(client, upstream, model="tokens-100-20ms")
    slow, *others = await more_conversations(client, first, OTHERS + 1)
    alone = await _median_duration(client, others)
    memory = _memory(retinue)
    upstream.enqueue(says(*LONG, between=0.0005))
    async with await _stop_reading(retinue, slow) as response:
        together = await _median_duration(client, others)
        _, stored = await settled(client, slow.id)
        assert stored.content == "".join(LONG)
        still_unread = await _median_duration(client, others)
        growth = _memory(retinue) - memory
        async with asyncio.timeout(60):
            answer = check_stream(await EventStream(response).rest())
    assert max(together, still_unread) < alone * RATIO, (alone, together, still_unread)
    assert answer.text == stored.content
    assert answer.end["text_sha256"] == sha256(answer.text.encode()).hexdigest()
    assert growth < ROOM


async def test_a_reader_that_never_reads_again_is_cut_off(impatient: RetinueServer, upstream: ThreadedUpstream) -> None:
    """Its run completes, its connection breaks without an end, and with the last id that it got it can come back."""
    client = impatient.client()
    conversation = await hire(client, upstream)
    memory = _memory(impatient)
    upstream.enqueue(says(*LONG))
    async with await _stop_reading(impatient, conversation) as response:
        await asyncio.to_thread(_wait_until_closed, impatient, response)
        _, stored = await settled(client, conversation.id)
        assert stored.content == "".join(LONG)
        stream = EventStream(response)
        frames = await stream.to_any_end()
    assert stream.response.ending == "cut"
    assert 0 < len(frames) < 5000
    assert all(frame.event != "message_end" for frame in frames)
    assert _memory(impatient) - memory < ROOM
    async with await resume(client, conversation.id, frames[-1].id or "") as rest:
        answer = check_stream([*frames, *await rest.rest()])
    assert answer.text == stored.content


def _wait_until_closed(server: RetinueServer, response: http1.Response) -> None:
    """Until the server has let go of this connection, seen in the server's own sockets."""
    port = response._writer.get_extra_info("sockname")[1]
    process = psutil.Process(server.process.pid)
    deadline = monotonic() + 30
    while any(one.raddr[1:] == (port,) for one in process.net_connections("tcp")):
        assert monotonic() < deadline, "the server still holds the connection"
