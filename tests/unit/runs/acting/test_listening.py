"""Following a conversation whose runs wait: every pause is told, and the stream goes on."""

import asyncio
from collections.abc import Sequence

import pytest

from retinue.domain.errors import Conflict, StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position
from retinue.domain.runs import Run
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import (
    conversation_of,
    decide_next,
    give_password,
    let_time_pass,
    office_with,
    started,
)
from tests.unit.runs.acting.tools import a_sudo, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, says, until
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process


def ids(events: Sequence[RecordedEvent]) -> list[str]:
    return [event.id for event in events]


class Listener:
    """Follows a conversation."""

    def __init__(self, process: Process, run: Run, after: Position | None = None) -> None:
        self.seen: list[RecordedEvent] = []
        self._task = asyncio.create_task(self._listen(process, run, after))

    async def _listen(self, process: Process, run: Run, after: Position | None) -> None:
        place = await process.service.conversation_place(
            run.tenant_id, run.conversation_id, None if after is None else (run.id, after)
        )
        async for batch in process.service.follow_conversation(run.tenant_id, run.conversation_id, place):
            self.seen += batch

    async def hears(self, kind: str, times: int = 1) -> None:
        await until(lambda: self._task.done() or kinds(self.seen).count(kind) >= times)
        assert kinds(self.seen).count(kind) == times

    async def gives_up(self) -> BaseException | None:
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([self._task])
        return self._task.exception()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_each_pause_is_told_and_what_comes_after_it(world: World, is_elsewhere: bool) -> None:
    tools = [a_write("a"), a_write("b")]
    office = await office_with(world, wants("a", "b"), says("Done."), says("Hi."), tools=tools)
    reading = Process(world, name="elsewhere", coordination=office.coordination) if is_elsewhere else office
    run = await office.start(await world.conversation())
    listener = Listener(reading, run)
    for number in (1, 2):
        await listener.hears("run.paused", number)
        await office.idle()
        await decide_next(office)
    await listener.hears("run.completed")
    await office.idle()
    assert ids(listener.seen) == ids((await ended(world, run)).events), "every event, each once"
    await office.start(await conversation_of(world, run))
    await listener.hears("run.completed", 2)
    await listener.close()


async def test_a_reader_that_comes_back_while_it_waits(world: World) -> None:
    office = await office_with(world, wants("a"), says("Done."), tools=[a_write("a")])
    run, before = await started(office)
    behind = Listener(office, run, before[-1].position)
    anew = Listener(office, run)
    await anew.hears("run.paused")
    await decide_next(office)
    for listener in (behind, anew):
        await listener.hears("run.completed")
    await office.idle()
    assert ids(anew.seen) == ids(before) + ids(behind.seen)
    assert kinds(behind.seen)[:2] == ["attempt.started", "approval.decided"]
    for listener in (behind, anew):
        await listener.close()


async def test_the_end_of_a_wait_is_heard(world: World) -> None:
    office = await office_with(world, wants("sudo"), tools=[a_sudo()])
    run, _ = await started(office)
    listener = Listener(office, run)
    await listener.hears("run.paused")
    await decide_next(office)
    await listener.hears("password.requested")
    await listener.hears("run.paused", 2)
    await office.idle()
    await let_time_pass(world)
    await office.expiry.sweep()
    await listener.hears("run.expired")
    await listener.close()


async def test_cancelling_is_heard(world: World) -> None:
    office = await office_with(world, wants("sudo"), tools=[a_sudo()])
    run, _ = await started(office)
    listener = Listener(office, run)
    await listener.hears("run.paused")
    approval = await decide_next(office)
    await listener.hears("run.paused", 2)
    await office.idle()
    await office.service.cancel(run.tenant_id, run.id)
    await listener.hears("run.cancelled")
    await listener.close()
    with pytest.raises(Conflict, match="does not wait"):
        await give_password(office, run, approval.id, "x")


async def test_a_conversation_that_is_deleted_while_it_waits(world: World) -> None:
    office = await office_with(world, wants("a"), tools=[a_write("a")])
    run, _ = await started(office)
    listener = Listener(office, run)
    await listener.hears("run.paused")
    async with world.database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
    office.service.tell(run.tenant_id, run.conversation_id)
    assert isinstance(await listener.gives_up(), StreamBroken)
