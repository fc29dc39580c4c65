"""How a stream ends: by itself, broken off, or because its reader has gone."""

import asyncio

import msgspec
import pytest
from sse_starlette.sse import SendTimeoutError

from retinue.domain import events as e
from retinue.domain.errors import StreamBroken, StreamMoved
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import new_id
from retinue.http.sse import Feed, RunStream, StreamSettings
from retinue.protocols.base import Encode
from retinue.protocols.messages import MessagesProtocol
from tests.support.runs import RUN_ID, paused
from tests.unit.http.exchange import (
    DEADLINE,
    END,
    PROTOCOL,
    QUIET,
    Connection,
    Exchange,
    Follower,
    encode,
    exchange,
    started,
)

pytestmark = pytest.mark.usefixtures("both_ways")


async def test_a_clean_end_is_an_empty_last_chunk() -> None:
    async with exchange() as running:
        await started(running)
        running.follower.end()
        assert await running.next() == {"type": "http.response.body", "body": b"", "more_body": False}
        await running.finished()
        assert running.sent.empty()


async def broken_off(running: Exchange, error: Exception) -> None:
    running.follower.end(error)
    with pytest.raises(type(error)):
        await running.finished()


async def test_a_broken_follower_says_why_and_breaks_the_connection_off() -> None:
    async with exchange() as running:
        await started(running)
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        assert await running.body() == encode(token)
        error = StreamBroken("The stored events cannot be read.")
        await broken_off(running, error)
        assert await running.body() == PROTOCOL.failure(RUN_ID, error)
        assert running.sent.empty(), "a last chunk would be read as success"


async def test_a_follower_that_breaks_before_the_first_event_says_why_too() -> None:
    async with exchange() as running:
        await started(running)
        await broken_off(running, StreamBroken())
        assert await running.body() == PROTOCOL.failure(RUN_ID, StreamBroken())


async def test_a_stream_that_moves_only_says_when_to_come_back() -> None:
    async with exchange(StreamSettings(ping_seconds=60, retry_ms=250)) as running:
        await started(running)
        await broken_off(running, StreamMoved())
        assert await running.body() == b"retry: 250\n"
        assert running.sent.empty(), "a last chunk would be read as success"


async def test_an_unforeseen_failure_shows_nothing_of_itself() -> None:
    async with exchange() as running:
        await started(running)
        await broken_off(running, ZeroDivisionError())
        assert running.sent.empty()


@pytest.mark.parametrize("end", [END, paused()], ids=["end", "pause"])
async def test_after_the_end_nothing_is_said_of_a_run(end: e.RunEvent) -> None:
    """Only the stream of a conversation can break after a run's end or pause."""
    async with exchange(run_id=None, on_gone=None) as running:
        await started(running)
        for event in (e.TextDelta(delta="x"), end):
            (told,) = running.follower.give(event)
            assert await running.body() == encode(told)
        await broken_off(running, StreamBroken())
        assert running.sent.empty()


async def test_a_conversation_breaks_off_in_the_words_of_the_run_it_is_at() -> None:
    async with exchange(run_id=None, on_gone=None) as running:
        await started(running)
        running.follower.give(END)
        await running.body()
        other = new_id()
        begun = [
            msgspec.structs.replace(event, run_id=other) for event in running.follower.give(e.TextDelta(delta="x"))
        ]
        await running.body()
        running.follower._queue.put_nowait(begun)
        await running.body()
        await broken_off(running, StreamBroken())
        assert await running.body() == PROTOCOL.failure(other, StreamBroken())


async def test_a_reader_that_goes_away_while_nothing_comes_closes_the_follower() -> None:
    async with exchange() as running:
        await started(running)
        running.disconnect()
        await running.finished()
        await running.follower_closed()
        assert running.sent.empty()
        assert running.gone == 1


async def test_a_reader_that_goes_away_while_a_chunk_is_sent_closes_the_follower() -> None:
    async with exchange() as running:
        await started(running)
        running.can_send.clear()
        running.follower.give(e.TextDelta(delta="x"))
        running.follower.give(e.TextDelta(delta="y"))
        async with asyncio.timeout(DEADLINE):
            await running.is_sending.wait()
        running.disconnect()
        await running.finished()
        assert running.follower.closed.is_set(), "not some time later, when the garbage is collected"
        assert running.gone == 1


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    async with exchange(StreamSettings(ping_seconds=60, send_timeout=0.01)) as running:
        await started(running)
        running.can_send.clear()
        running.follower.give(e.TextDelta(delta="x"))
        with pytest.raises(SendTimeoutError):
            await running.finished()
        assert running.follower.closed.is_set()
        assert running.sent.empty()
        assert running.gone == 1


async def test_a_reader_that_goes_before_anything_was_sent_is_gone_too() -> None:
    async with exchange() as running:
        running.disconnect()
        await running.finished()
        assert running.gone == 1


async def test_a_stream_that_the_server_cancels_has_lost_its_reader() -> None:
    async with exchange() as running:
        await started(running)
        running.task.cancel()
        await asyncio.wait([running.task])
        assert running.gone == 1


@pytest.mark.parametrize("error", [None, StreamBroken(), StreamMoved(), ZeroDivisionError()], ids=repr)
async def test_a_stream_that_ends_by_itself_has_not_lost_its_reader(error: Exception | None) -> None:
    async with exchange() as running:
        await started(running)
        running.follower.end(error)
        await asyncio.wait([running.task], timeout=DEADLINE)
        assert running.task.done()
        assert running.gone == 0


@pytest.mark.parametrize("end", [END, paused()], ids=["end", "pause"])
async def test_a_reader_that_goes_after_the_end_was_told_has_missed_nothing(end: e.RunEvent) -> None:
    """Also where the run only pauses: nobody may cancel it because its stream has been read to the end."""
    async with exchange() as running:
        await started(running)
        running.follower.give(e.TextDelta(delta="x"), end)
        await running.body()
        running.disconnect()
        await running.finished()
        assert running.gone == 0


async def test_a_reader_that_goes_after_the_run_went_on_is_gone() -> None:
    """A pause that was told along with what follows it is no end."""
    async with exchange() as running:
        await started(running)
        running.follower.give(paused())
        await running.body()
        running.follower.give(e.TextDelta(delta="x"))
        await running.body()
        running.disconnect()
        await running.finished()
        assert running.gone == 1


async def test_a_failing_encoder_closes_the_follower_too() -> None:
    follower, connection = Follower(), Connection()

    def fail(_: RecordedEvent) -> bytes:
        raise ZeroDivisionError

    class Failing(MessagesProtocol):
        def encoder(self) -> Encode:
            return fail

    follower.give(e.TextDelta(delta="x"))
    stream = RunStream(Feed(follow=follower.batches, run_id=RUN_ID), Failing(), QUIET)
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ZeroDivisionError):
            await stream(connection.scope, connection.receive, connection.send)
    assert follower.closed.is_set()
