"""What a stream sends, and in which pieces."""

import pytest

from retinue.domain import events as e
from retinue.http.sse import StreamSettings
from retinue.protocols.messages import MessagesProtocol
from tests.support.runs import every_event
from tests.unit.http.exchange import END, encode, exchange, started

pytestmark = pytest.mark.usefixtures("both_ways")


async def test_headers_go_out_at_once_and_say_exactly_this() -> None:
    async with exchange() as running:
        assert await started(running) == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }


async def test_a_protocol_may_add_headers_of_its_own() -> None:
    class Decorated(MessagesProtocol):
        headers = {"x-vercel-ai-ui-message-stream": "v1"}  # noqa: RUF012

    async with exchange(protocol=Decorated()) as running:
        headers = await started(running)
    assert headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "connection" not in headers


async def test_a_batch_leaves_at_once_as_one_chunk() -> None:
    async with exchange() as running:
        await started(running)
        batch = running.follower.give(*every_event())
        assert await running.body() == b"".join(map(encode, batch))
        (token,) = running.follower.give(e.TextDelta(delta="Привет"))
        assert await running.body() == encode(token)


async def test_what_a_protocol_does_not_show_sends_nothing() -> None:
    async with exchange() as running:
        await started(running)
        running.follower.give(e.StepStarted(step=1))
        running.follower.give(e.StepStarted(step=1), e.StepStarted(step=2))
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        assert await running.body() == encode(token)


@pytest.mark.parametrize("size", [1, 300, 1000, 5000])
async def test_chunks_are_whole_frames_of_about_the_size(size: int) -> None:
    async with exchange(StreamSettings(ping_seconds=60, chunk_bytes=size)) as running:
        await started(running)
        batch = running.follower.give(*(e.TextDelta(delta="x" * (seq % 97)) for seq in range(200)))
        running.follower.end()
        chunks: list[bytes] = []
        while (message := await running.next())["more_body"]:
            chunks.append(message["body"])
    frames = [encode(event) for event in batch]
    assert b"".join(chunks) == b"".join(frames)
    assert all(chunk.startswith(b"id: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    longest = max(map(len, frames))
    assert all(len(chunk) < size + longest for chunk in chunks)
    assert all(len(chunk) >= size for chunk in chunks[:-1]), "no smaller than needed"
    assert all(chunks)


async def test_keep_alive_is_one_comment_line_and_comes_between_frames() -> None:
    async with exchange(StreamSettings(ping_seconds=0.001)) as running:
        await started(running)
        assert await running.body() == b": keep-alive\n"
        assert await running.body() == b": keep-alive\n"
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        body = await running.body()
        while body == b": keep-alive\n":
            body = await running.body()
        assert body == encode(token)


async def test_a_conversation_goes_on_after_the_end_of_a_run() -> None:
    async with exchange(run_id=None, on_gone=None, may_be_silent=True) as running:
        await started(running)
        assert await running.body() == b": connected\n"
        for _ in range(3):
            run = running.follower.give(*every_event(), END)
            assert await running.body() == b"".join(map(encode, run))
        running.follower.end()
        assert not (await running.next())["more_body"]


async def test_where_nothing_may_come_for_long_the_client_hears_at_once() -> None:
    async with exchange(may_be_silent=True) as running:
        await started(running)
        assert await running.body() == b": connected\n"
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        assert await running.body() == encode(token)
