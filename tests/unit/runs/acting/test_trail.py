"""What the audit trail says of the calls of a run."""

from retinue.domain.errors import ToolError
from retinue.domain.tools import Resolution
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import decide, decide_next, goes_on, office_with, pending, resolve, started
from tests.unit.runs.acting.tools import a_write, an_idempotent, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import says
from tests.unit.runs.process import Process


async def test_an_intent_whose_storing_was_not_confirmed_is_in_the_trail_once(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    full = Process(world, name="full", tools=[tool], max_active=0)
    run, _ = await started(office)
    await decide(full, (await pending(office))[0])
    await full.errands.finish()
    world.database.forecast.extend(["fair", "lost"])
    await office.look()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses) == (1, ["succeeded"])
    assert books.actions == ["approval.requested", "approval.decided", "tool.called", "tool.finished"]


async def test_a_failure_and_a_doubt_are_told(world: World) -> None:
    refused = ToolError("No.", code="no_room", took_effect=False)
    tools = [a_write("a", refused), an_idempotent("b", ToolError("Lost.", code="lost"))]
    office = await office_with(world, wants("a", "b"), says("Well."), tools=tools)
    run, _ = await started(office)
    for _ in range(2):
        await decide_next(office)
    await goes_on(office, run)
    books = await paused(world, run)
    finished = [entry.payload for entry in books.audit if entry.action == "tool.finished"]
    assert [(one["tool"], one["outcome"], one["error"]) for one in finished] == [
        ("a", "failed", "no_room"),
        ("b", "outcome_unknown", "outcome_unknown"),
    ]
    await resolve(office, run, "b-2", Resolution.HAPPENED, "done")
    await goes_on(office, run)
    assert (await ended(world, run)).actions[-1] == "effect.resolved"
