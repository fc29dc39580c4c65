"""Readers while the database is away, the process stops, or the run goes."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from retinue.db.session import Unit
from retinue.domain.errors import StorageFailed, StreamBroken, StreamMoved, Unavailable
from retinue.domain.events import RecordedEvent
from retinue.runs import follow as module
from retinue.runs import looks
from retinue.runs.follow import ConversationPlace
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, until
from tests.unit.runs.test_follow import end, following, read, say, seqs, store

pytestmark = pytest.mark.slow


class Outage:
    """Units that only read fail so many times; -1 for ever."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        self._unit = world.database.unit
        monkeypatch.setattr(world.database, "unit", self)

    def __call__(self, tenant_id: UUID, *, read_only: bool = False) -> AbstractAsyncContextManager[Unit]:
        return self._failing(self._unit(tenant_id, read_only=read_only), read_only=read_only)

    @asynccontextmanager
    async def _failing(self, unit: AbstractAsyncContextManager[Unit], *, read_only: bool) -> AsyncGenerator[Unit, None]:
        if read_only and self.left:
            self.left -= 1
            raise Unavailable
        async with unit as opened:
            yield opened


async def test_a_database_that_comes_back_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 3)
    await end(world, run, recorder)
    outage = Outage(world, monkeypatch, 5)
    assert seqs(await world.follow(run)) == [1, 2, 3, 4]
    assert outage.left == 0


async def test_a_database_that_stays_away_breaks_the_reader_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    await end(world, run, recorder)
    Outage(world, monkeypatch, -1)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.02)
    with pytest.raises(StreamBroken) as broken:
        await world.follow(run)
    assert not isinstance(broken.value, StreamMoved)


async def test_a_live_run_is_read_without_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 2)
    Outage(world, monkeypatch, -1)
    stream = following(world, run)
    assert await read(stream, 2) == [1, 2]
    await stream.aclose()


async def test_a_conversation_s_reader_waits_out_an_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = await world.conversation()
    stream = world.follower.follow_conversation(world.tenant.id, conversation.id, ConversationPlace(ordinal=0))
    reader: asyncio.Task[Sequence[RecordedEvent]] = asyncio.create_task(anext(stream))
    await until(lambda: bool(world.wakes._watching))
    outage = Outage(world, monkeypatch, 5)
    run = await world.run_in(conversation)
    say(world.recorder(run), 1)
    world.wakes.wake(conversation.id)
    async with asyncio.timeout(DEADLINE):
        assert seqs(await reader) == [1]
    assert outage.left == 0
    await stream.aclose()


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_stopping_process_sends_readers_elsewhere(world: World, is_live: bool) -> None:
    """They have read everything that there was here."""
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 2)
    await store(world, run, recorder.take_unstored())
    if not is_live:
        world.log.close(run.id)
    stream = following(world, run)
    assert await read(stream, 2) == [1, 2]
    reader = asyncio.create_task(read(stream, 1))
    await asyncio.sleep(0)
    world.stopping.set()
    recorder.leave()
    world.wakes.wake_all()
    with pytest.raises(StreamMoved):
        await reader


async def test_a_stopping_process_wakes_those_who_wait_for_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600)
    run, conversation = await world.run(), await world.conversation()
    world.log.close(run.id)
    readers = [
        asyncio.create_task(read(following(world, run), 1)),
        asyncio.create_task(
            _all(world.follower.follow_conversation(world.tenant.id, conversation.id, ConversationPlace(ordinal=0)))
        ),
    ]
    await until(lambda: len(world.wakes._watching) == 2)
    world.stopping.set()
    world.wakes.wake_all()
    async with asyncio.timeout(DEADLINE):
        ends: list[Any] = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(error) for error in ends] == [StreamMoved, StreamMoved]


async def test_news_of_the_conversation_end_the_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600)
    monkeypatch.setattr(looks, "NOTHING_NEW_SECONDS", 0.0)
    run = await world.run()
    world.log.close(run.id)
    reader = asyncio.create_task(world.follow(run))
    await until(lambda: bool(world.wakes._watching))
    await end(world, run, world.recorder(run))
    world.wakes.wake(run.conversation_id)
    assert seqs(await reader) == [1]
    assert world.wakes._watching == {}


async def test_a_log_that_cannot_be_read_breaks_the_reader_off_behind_what_can(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    for _ in range(2):
        say(recorder, 2)
        await store(world, run, recorder.take_unstored())
    await end(world, run, recorder)
    async with world.database._engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE run_events SET payload = x'00' WHERE first_seq = 5")
    with pytest.raises(StreamBroken):
        await world.follow(run)


async def test_a_hole_in_the_log_is_not_passed_over(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    for _ in range(3):
        say(recorder, 2)
        await store(world, run, recorder.take_unstored())
    await end(world, run, recorder)
    async with world.database._engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM run_events WHERE first_seq = 1")
    with pytest.raises(StreamBroken, match="hole"):
        await world.follow(run)


class Slow:
    """Units that only read stand still before they leave, as one does that waits for the database."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, then: Exception | None = None) -> None:
        self.gate = Gate()
        self.ends: list[str] = []
        self._then = then
        self._unit = world.database.unit
        monkeypatch.setattr(world.database, "unit", self._standing)

    @asynccontextmanager
    async def _standing(self, tenant_id: UUID, *, read_only: bool = False) -> AsyncGenerator[Unit, None]:
        async with self._unit(tenant_id, read_only=read_only) as unit:
            yield unit
            if not read_only:
                return
            try:
                await self.gate()
            except asyncio.CancelledError:
                self.ends.append("cut")
                raise
            self.ends.append("whole")
            if self._then is not None:
                raise self._then


@pytest.mark.parametrize("then", [None, Unavailable(), StorageFailed()], ids=lambda error: type(error).__name__)
async def test_a_reader_that_goes_away_does_not_cut_its_read(
    world: World, monkeypatch: pytest.MonkeyPatch, then: Exception | None
) -> None:
    """A connection whose statement is cut in the middle has to be thrown away, and complains about it."""
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 2)
    await end(world, run, recorder)
    slow, complaints = Slow(world, monkeypatch, then), []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    reader = asyncio.create_task(world.follow(run))
    await slow.gate.wait_until_reached()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    slow.gate.opened.set()
    await until(lambda: bool(slow.ends) and not world.follower._looks._looks._asked)
    gc.collect()
    assert (slow.ends, complaints) == (["whole"], [])


async def test_news_that_come_during_a_look_are_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look was too early to see them, and nobody tells them twice."""
    for pause in ("POLL_SECONDS", "QUIET_SECONDS"):
        monkeypatch.setattr(module, pause, 3600, raising=False)
    conversation = await world.conversation()
    slow = Slow(world, monkeypatch)
    stream = world.follower.follow_conversation(world.tenant.id, conversation.id, ConversationPlace(ordinal=0))
    reader: asyncio.Task[Sequence[RecordedEvent]] = asyncio.create_task(anext(stream))
    await slow.gate.wait_until_reached()
    say(world.recorder(await world.run_in(conversation)), 1)
    world.wakes.wake(conversation.id)
    slow.gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        assert seqs(await reader) == [1]
    await stream.aclose()


async def _all(stream: AsyncGenerator[Sequence[RecordedEvent], None]) -> list[RecordedEvent]:
    return [event async for batch in stream for event in batch]
