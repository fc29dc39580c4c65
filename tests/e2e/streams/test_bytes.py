"""Every byte of a stream is as promised."""

import asyncio
import re
from hashlib import sha256

import pytest

from tests.e2e.streams.talk import check_frames, check_stream, connect, hire, open_stream, problem, request_bytes
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.sse import EventStream, FrameParser
from tests.support.upstream import ThreadedUpstream, says

pytestmark = pytest.mark.slow

PIECES = (
    "Привет",
    " мир",
    " ",
    "😀👩\u200d🚀",
    "\u2028\u2029\u0085",
    ' "q" \\ </script>',
    "\n\r\n\t",
    "data: x\n\n",
    "è\u0301",
)


async def test_what_goes_over_the_socket(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(says(*PIECES))
    async with await connect(retinue) as response:
        path = f"/conversations/{conversation.id}/messages/stream"
        response._writer.write(request_bytes(retinue, path, {"content": "Hello"}))
        async with asyncio.timeout(30):
            wire = await response._reader.read(-1)

    head, _, body = wire.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(headers) == len(lines), lines
    assert status == "HTTP/1.1 200 "
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["transfer-encoding"] == "chunked"
    assert not {"content-length", "content-encoding", "server"} & headers.keys()

    assert body.endswith(b"\r\n0\r\n\r\n"), "the terminating chunk is the last thing that is sent"
    text = _unchunked(body)
    assert b"\r" not in text
    assert "Привет".encode() in text
    assert "😀".encode() in text
    assert b"\\u04" not in text
    assert b"\\ud83d" not in text.lower()
    parser = FrameParser()
    answer = check_stream(parser.feed(text))
    assert not parser.leftover
    assert text.endswith(b"\n\n")
    assert answer.text == "".join(PIECES)


def _unchunked(body: bytes) -> bytes:
    parts = []
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        parts.append(body[:length])
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]
        if not length:
            assert not body, "nothing may follow the terminating chunk"
            return b"".join(parts)


async def test_tokens_add_up_to_the_stored_message(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(says(*PIECES))
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    [question, stored] = await client.messages(conversation.id)
    assert answer.text == stored.content == "".join(PIECES)
    assert answer.end["text_sha256"] == sha256(stored.content.encode()).hexdigest()
    assert answer.end["message_id"] == answer.start["message_id"] == str(stored.id)
    assert answer.start["user_message_id"] == str(question.id)
    assert answer.start["conversation_id"] == answer.end["conversation_id"] == str(conversation.id)
    assert answer.start["employee_id"] == str(conversation.employee_id)
    assert answer.start["attempt"] == 1
    assert answer.end["token_count"] == answer.end["usage"]["output_tokens"] == len(PIECES)
    assert (answer.end["status"], answer.end["finish_reason"]) == ("completed", "stop")
    assert stored.status.value == "completed"


async def test_the_stream_begins_before_the_model_answers(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(says("late", before_headers=86_400))
    async with await client.stream(conversation.id, "Hello") as stream:
        async with asyncio.timeout(10):
            first = await anext(stream)
            record = await asyncio.to_thread(upstream.wait_for_request)
    assert (first.event, record.answered_at) == ("message_start", None)
    assert first.id == f"{first.json['run_id']}:1-1"
    (await client.delete(f"/conversations/{conversation.id}")).expect(204)


async def test_events_are_the_run_as_it_is(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(says(*PIECES), says(*PIECES))
    answer = await client.ask(conversation.id, "Hello")
    async with await client.stream(conversation.id, "Hello", protocol="events") as stream:
        assert stream.response.header("content-type") == "text/event-stream; charset=utf-8"
        frames = await stream.rest()
    check_frames(frames)
    run = frames[0].json["run_id"]
    assert [frame.id for frame in frames] == [f"{run}:1-{n}" for n in range(1, len(frames) + 1)]
    for frame in frames:
        assert frame.json["id"] == frame.id
        assert frame.json["type"] == frame.event
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", frame.json["at"])
    names = [frame.event for frame in frames]
    assert names[:3] == ["run.started", "step.started", "status.changed"]
    assert names[-2:] == ["usage.recorded", "run.completed"]
    assert names.count("text.delta") == len(PIECES)
    assert "".join(f.json["delta"] for f in frames if f.event == "text.delta") == "".join(PIECES)
    assert answer.end["event_count"] == frames[-1].json["event_count"] == len(frames)
    assert answer.end["text_sha256"] == frames[-1].json["text_sha256"]


async def test_an_unknown_protocol_is_refused_before_anything_happens(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    async with await open_stream(client, conversation.id, protocol="morse") as response:
        document = await problem(response, 422, "unknown_protocol")
    assert "messages" in document["detail"]
    assert await client.messages(conversation.id) == []
    assert not upstream.requests


@pytest.mark.parametrize("accept", [None, "application/json", "text/html;q=0.9", "image/png"])
async def test_what_a_client_says_it_accepts_does_not_matter(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, accept: str | None
) -> None:
    conversation = await hire(client, upstream)
    headers = {} if accept is None else {"accept": accept}
    async with await open_stream(client, conversation.id, headers=headers) as response:
        assert response.status == 200
        assert response.header("content-type") == "text/event-stream; charset=utf-8"
        stream = EventStream(response)
        check_stream(await stream.rest())
