"""A process that dies between any two transactions: a write is never repeated, and nobody is told what nobody knows."""

import asyncio
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.runs import Run, WaitingFor
from retinue.domain.tools import CallStatus, Effect, Resolution
from retinue.runs.calls.journal import Journal
from tests.unit.runs.acting.books import Books, ended, paused, read_books
from tests.unit.runs.acting.mortal import Side, dies, mortal
from tests.unit.runs.acting.story import decide_next, goes_on, office_with, pending, resolve
from tests.unit.runs.acting.tools import StubTool, a_read, a_write, an_idempotent, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.process import Process

KINDS = {"read": a_read, "idempotent": an_idempotent, "write": a_write}
PLAN = wants("t", text="I act. ")
LAST = 30
"""More writing units than a story has."""


async def lives(office: Process, run: Run) -> None:
    """Do what a process does by itself, and allow what it asks for, until the run has ended."""
    boss = Process(office.world, name="boss", tools=office.tools, max_active=0)
    while True:
        await office.idle()
        if (await office.world.run_now(run)).finished_at:
            return
        if await pending(boss):
            await decide_next(boss)
            await boss.errands.finish()
        await office.look()


async def inherited(heir: Process, run: Run, before: Books, tool: StubTool) -> Books:
    """Let another process bring the run to its end, and people say what it asks for."""
    world, times = heir.world, tool.times
    await heir.look()
    while True:
        events = await goes_on(heir, run)
        match events[-1].event:
            case e.RunPaused(waiting_for=WaitingFor.EFFECT_UNKNOWN):
                assert [entry.status for entry in before.journal] == [CallStatus.EXECUTING]
                assert tool.times == times
                assert (await paused(world, run)).statuses == ["outcome_unknown"]
                await resolve(heir, run, "t-1", Resolution.DID_NOT_HAPPEN)
            case e.RunPaused():
                await paused(world, run)
                await decide_next(heir)
            case _:
                return await ended(world, run)


@pytest.mark.slow  # many rounds
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
async def test_death_at_any_transaction(world: World, kind: str, side: Side) -> None:
    seen: set[str] = set()
    for stops_at in range(2, LAST):
        tool = KINDS[kind]("t")
        calls = PLAN, says("Done.")
        async with mortal(world, *calls, stops_at=stops_at, side=side, tools=[tool]) as (first, death):
            run = await first.start(await world.conversation())
            life = asyncio.create_task(lives(first, run))
            if not await is_reached(death, life):
                break
            before, times = await read_books(world, run), tool.times
            seen |= set(before.statuses)
            await dies(first, run)
            heir = Process(world, *calls[bool(before.journal) :], name="heir", tools=[tool])
            books = await inherited(heir, run, before, tool)
            check(kind, before, times, tool, books)
            made = tool.times
            death.opened.set()
            await life
            after = await ended(world, run)
            assert (tool.times, after.statuses, after.events) == (made, books.statuses, books.events)
    else:
        pytest.fail("the story has more transactions than that")
    assert seen >= ({"proposed", "succeeded"} if kind == "read" else {"proposed", "executing", "succeeded"})


async def is_reached(gate: Gate, life: asyncio.Task[None]) -> bool:
    """Whether the process died before it came to the end of the story."""
    reached = asyncio.create_task(gate.wait_until_reached())
    await asyncio.wait([reached, life], return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()
    return gate.reached.is_set()


def check(kind: str, before: Books, times: int, tool: StubTool, books: Books) -> None:
    status = before.statuses[0] if before.statuses else "none"
    made = tool.times - times
    match kind, status:
        case _, "succeeded" | "failed":
            assert made == 0, "it is known what became of it"
        case "write", "executing":
            assert (made, books.statuses, books.errors) == (0, ["failed"], ["did_not_happen"])
        case "idempotent", "executing":
            assert (made, books.statuses) == (1, ["succeeded"])
        case "read", _:
            assert (made, books.statuses) == (1, ["succeeded"])
        case _:
            assert (times, made, books.statuses) == (0, 1, ["succeeded"]), "it was not begun"
    assert {made.idempotency_key for made in tool.invocations} <= {f"{books.run.id}:1"}
    if kind == "write":
        assert tool.times <= 1


@pytest.mark.parametrize("kind", KINDS)
async def test_death_in_the_middle_of_the_call(world: World, kind: str) -> None:
    gate = Gate()
    tool = KINDS[kind]("t", gate, "second")
    first = await office_with(world, PLAN, name="first", tools=[tool])
    heir = Process(world, says("Done."), name="heir", tools=[tool])
    run = await first.start(await world.conversation())
    if kind != "read":
        await first.idle()
        await decide_next(first)
    await gate.wait_until_reached()
    await first.flush()
    await first.freeze(run)
    before = await read_books(world, run)
    books = await inherited(heir, run, before, tool)
    assert before.statuses == ["proposed" if kind == "read" else "executing"]
    gate.opened.set()
    await first.idle()
    again = await ended(world, run)
    assert again.statuses == books.statuses
    if kind == "write":
        assert (tool.times, books.errors) == (1, ["did_not_happen"])
    else:
        assert (tool.times, books.journal[0].result) == (2, "second")
        assert len({made.idempotency_key for made in tool.invocations}) == 1


async def test_a_process_whose_hold_ran_out_while_it_stored_its_intent_does_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit came through, but too late to be sure that nobody else goes on."""
    tool = a_write("t")
    office = await office_with(world, PLAN, tools=[tool])
    run = await office.start(await world.conversation())
    await office.idle()
    gate = Gate()
    intend = Journal._audit

    async def late(journal: Journal, *given: Any) -> None:
        await intend(journal, *given)
        office.supervisor.runners[run.id].renew(asked_at=float("-inf"))
        gate.reached.set()

    monkeypatch.setattr(Journal, "_audit", late)
    await decide_next(office)
    await gate.wait_until_reached()
    await office.idle()
    books = await read_books(world, run)
    assert (tool.times, books.statuses) == (0, ["executing"])
    assert [entry.effect for entry in books.journal] == [Effect.WRITE]
