"""What a lost process had asked the model for is on the bill, once, and says how well it is known."""

import pytest

from retinue.domain import events as e
from retinue.domain.model_io import Finished, FinishReason, TextPiece, UsageReported
from retinue.domain.runs import CallOutcome, Run
from retinue.domain.usage import Provenance, Usage
from retinue.runs.lease import Lease
from retinue.runs.lost_calls import close_orphaned_calls
from retinue.runs.replay import events_of_step, pieces
from tests.support.runs import recorded, run_started
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import FirstGate, Gate, Step, StubProvider, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process, Published
from tests.unit.runs.test_runner import asks_for_tools

REPORT = UsageReported(Usage(input_tokens=10, output_tokens=4))
LAST = [REPORT, *says("Yes")]
LEASE = Lease(owner="rescuer", seconds=60)
IMPATIENT = Lease(owner="rescuer", seconds=-60)


async def lost(world: World, *calls: list[Step], gate: Gate) -> Run:
    first = Process(world, *calls, name="first")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.flush()
    await first.freeze(run)
    return run


async def completed(world: World, run: Run) -> Usage:
    """Another process completes the run; what it says that all of it used."""
    second = Process(world, list(LAST), name="second")
    await second.look()
    end = whole(await second.follow(run))
    entries = await world.ledger_now(run)
    assert all(entry.outcome is not CallOutcome.OPEN and entry.closed_at is not None for entry in entries)
    assert end.usage is not None
    assert end.usage.output_tokens == sum(entry.usage.output_tokens or 0 for entry in entries if entry.usage)
    return end.usage


async def test_what_came_of_a_lost_call_is_estimated(world: World) -> None:
    gate = Gate()
    run = await lost(world, [TextPiece("a" * 40), gate], gate=gate)
    usage = await completed(world, run)
    aborted, last = await world.ledger_now(run)
    assert (aborted.outcome, aborted.error_code, aborted.attempt) == (CallOutcome.ABORTED, "process_lost", 1)
    assert aborted.usage is not None
    assert (aborted.usage.output_tokens, aborted.usage.provenance) == (10, Provenance.ESTIMATED)
    assert (aborted.usage.input_tokens or 0) > 0
    assert (last.outcome, last.attempt, last.step, last.usage) == (CallOutcome.COMPLETED, 2, 1, REPORT.usage)
    assert (usage.output_tokens, usage.provenance) == (14, Provenance.ESTIMATED)


async def test_a_lost_call_that_said_nothing_stays_unknown(world: World) -> None:
    gate = Gate()
    run = await lost(world, [gate], gate=gate)
    assert await completed(world, run) == REPORT.usage
    aborted, _ = await world.ledger_now(run)
    assert (aborted.outcome, aborted.usage, aborted.cost) == (CallOutcome.ABORTED, None, None)


async def test_a_call_that_was_over_counts_as_it_was_reported(world: World) -> None:
    """The process is lost between the step's boundary and the opening that would have closed its row."""
    gate, opening = Gate(), FirstGate()
    first = Process(world, [REPORT, gate, *asks_for_tools()], says("never"), name="first")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    crossed = Gate()

    async def second_unit() -> None:
        if not crossed.reached.is_set():
            crossed.reached.set()
            return
        await opening()

    world.database.hold = second_unit  # type: ignore[assignment]
    gate.opened.set()
    await opening.wait_until_reached()
    await first.freeze(run)
    usage = await completed(world, run)
    over, last = await world.ledger_now(run)
    assert (over.outcome, over.error_code, over.usage) == (CallOutcome.COMPLETED, None, REPORT.usage)
    assert (last.step, usage) == (2, Usage(input_tokens=20, output_tokens=8))
    opening.opened.set()


async def test_the_last_call_was_over_and_only_the_end_was_not_stored(world: World) -> None:
    gate, end = Gate(), FirstGate()
    first = Process(world, [REPORT, gate, *says("Hello")], name="first")
    log = Published(first)
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    gate.opened.set()
    world.database.hold = end
    await end.wait_until_reached()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, log.said)
    await first.freeze(run)
    assert await completed(world, run) == Usage(input_tokens=20, output_tokens=8)
    over, _ = await world.ledger_now(run)
    assert (over.outcome, over.usage) == (CallOutcome.COMPLETED, REPORT.usage)
    end.opened.set()
    await first.idle()
    assert (await world.run_now(run)).attempt == 2


async def test_a_call_is_not_taken_for_that_of_the_attempt_before(world: World) -> None:
    """The second process had opened its row, and nothing that it recorded was ever stored."""
    gates = [Gate(), Gate()]
    run = await lost(world, [TextPiece("a" * 40), gates[0]], gate=gates[0])
    middle = Process(world, [TextPiece("b" * 80), gates[1]], name="middle")
    await middle.look()
    await gates[1].wait_until_reached()
    await middle.freeze(run)
    usage = await completed(world, run)
    first, second, _ = await world.ledger_now(run)
    assert first.usage is not None
    assert (first.usage.output_tokens, second.usage) == (10, None)
    assert usage.output_tokens == 14


async def test_a_call_is_not_taken_for_that_of_the_step_before(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("a" * 40), REPORT, *asks_for_tools()], [gate], name="first")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.freeze(run)  # the begin of the second step was not stored
    assert await completed(world, run) == Usage(input_tokens=20, output_tokens=8)
    over, lost_call, last = await world.ledger_now(run)
    assert (over.usage, lost_call.usage, last.usage) == (REPORT.usage, None, REPORT.usage)


async def test_what_was_handed_over_is_closed_by_who_hands_it_over(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("a" * 40), gate], name="first")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.supervisor.drain(0)
    (entry,) = await world.ledger_now(run)
    assert (entry.outcome, entry.error_code) == (CallOutcome.ABORTED, None)
    assert (await completed(world, run)).output_tokens == 14


@pytest.mark.parametrize(
    ("attempt", "step", "expected"),
    [(1, 1, ("ab", "", "{}")), (1, 2, ("c", "hm", "")), (1, 3, ("", "", "")), (2, 2, ("", "", ""))],
)
def test_the_pieces_of_a_step(attempt: int, step: int, expected: tuple[str, str, str]) -> None:
    events = recorded(
        [
            run_started(),
            e.StepStarted(step=1),
            e.TextDelta(delta="a"),
            e.TextDelta(delta="b"),
            e.ToolCallDelta(tool_call_id="x", delta="{}"),
            e.StepStarted(step=2),
            e.ReasoningDelta(delta="hm"),
            e.TextDelta(delta="c"),
        ]
    )
    assert pieces(events_of_step(events, attempt, step)) == expected


async def test_calls_that_nobody_will_close_are_closed(world: World) -> None:
    run, alive = await world.run(), await world.run()
    for one in (run, alive):
        await world.runner(StubProvider([Finished(FinishReason.STOP)]), run=one)
    assert await close_orphaned_calls(world.database, IMPATIENT) == 0
    async with world.database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
    assert await close_orphaned_calls(world.database, LEASE) == 0, "a process that lives would close its own"
    assert await close_orphaned_calls(world.database, IMPATIENT) == 1
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.ABORTED]
    assert [entry.outcome for entry in await world.ledger_now(alive)] == [CallOutcome.OPEN]
