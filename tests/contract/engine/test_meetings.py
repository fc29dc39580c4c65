"""Two who change the same run at the same moment: neither is lost, and neither waits for the other for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from retinue.db.repositories.approvals import ApprovalRepository
from retinue.db.repositories.messages import MessageRepository
from retinue.domain.conversations import Conversation
from retinue.domain.runs import Run, RunStatus
from tests.support.databases import Postgres
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import conversation_of, decide_next, goes_on, office_with, pending, started
from tests.unit.runs.acting.tools import a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says
from tests.unit.runs.process import Process

pytestmark = pytest.mark.slow


def stopped_before(
    monkeypatch: pytest.MonkeyPatch, owner: type[Any], name: str, gate: Callable[[], Awaitable[None]]
) -> None:
    """Whoever calls this method waits at the gate, inside its transaction."""
    real = getattr(owner, name)

    async def slow(*args: Any, **more: Any) -> Any:
        await gate()
        return await real(*args, **more)

    monkeypatch.setattr(owner, name, slow)


async def until_blocked(postgres: Postgres) -> None:
    """Poll until somebody waits for a lock of somebody else."""
    async with asyncio.timeout(DEADLINE):
        while not await asyncio.to_thread(_blocked, postgres):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _blocked(postgres: Postgres) -> bool:
    return postgres.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"


async def stops(how: str, office: Process, conversation: Conversation, run: Run) -> Any:
    match how:
        case "run":
            return await office.service.cancel(run.tenant_id, run.id)
        case "conversation":
            return await office.service.cancel_conversation(run.tenant_id, conversation.id)
        case _:
            return await office.start(conversation, "Stop", on_busy="interrupt")


@pytest.mark.parametrize("how", ["run", "conversation", "interrupt"])
async def test_who_cancels_a_run_that_is_just_pausing_ends_it(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The wish comes to the row when the pause is written and not committed: it must not be left with a run that
    nobody looks at.
    """
    gate = Gate()
    stopped_before(monkeypatch, MessageRepository, "pause", gate)
    office = await office_with(world, wants("send"), says("Stopped."), tools=[tool := a_write("send")])
    conversation = await world.conversation()
    run = await office.start(conversation)
    await gate.wait_until_reached()
    stopping = asyncio.create_task(stops(how, office, conversation, run))
    await until_blocked(postgres)
    gate.opened.set()
    came = await stopping
    books = await ended(world, run)
    assert (books.run.status, books.errors, tool.times) == (RunStatus.CANCELLED, ["cancelled"], 0)
    assert books.actions.count("run.cancelled") == 1
    if how == "interrupt":
        await goes_on(office, came)
        assert (await world.run_now(came)).status is RunStatus.COMPLETED
    assert await pending(office) == []


async def test_taking_over_and_interrupting_do_not_wait_for_each_other(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both touch the run and its approvals, and have to do it in the same order: here the one that interrupts has seen
    the run wait, and another process has taken it over before the approvals are locked.
    """
    office = await office_with(world, wants("send"), says("Yes."), tools=[a_write("send")])
    full = Process(world, name="full", tools=[a_write("send")], max_active=0)
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    before = postgres.execute("SELECT sum(deadlocks) FROM pg_stat_database")
    to_interrupt, to_end = Gate(), Gate()
    gates = iter([to_interrupt, to_end])

    async def the_next_gate() -> None:
        await next(gates)()

    stopped_before(monkeypatch, ApprovalRepository, "lock", the_next_gate)
    interrupting = asyncio.create_task(full.start(conversation, "Stop", on_busy="interrupt"))
    await to_interrupt.wait_until_reached()
    await decide_next(full)
    await full.errands.finish()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    looking = asyncio.create_task(office.lookout.look())
    await to_end.wait_until_reached()
    to_interrupt.opened.set()
    await until_blocked(postgres)
    to_end.opened.set()
    await asyncio.gather(looking, interrupting)
    assert postgres.execute("SELECT sum(deadlocks) FROM pg_stat_database") == before
    assert (await ended(world, run)).run.status is RunStatus.CANCELLED
