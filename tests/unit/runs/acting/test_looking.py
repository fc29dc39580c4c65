"""Looking at a call while what it looks at is away for a moment."""

from collections.abc import Callable
from typing import Any

import pytest

from retinue.domain.errors import ToolError, Unavailable
from retinue.domain.runs import RunStatus
from retinue.domain.tools import ToolErrorKind
from retinue.runs.calls.toolbox import ASSESS_TRIES
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import decide_next, goes_on, office_with, started
from tests.unit.runs.acting.tools import StubTool, a_read, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import says

AWAY = ToolError("The shop cannot be reached now.", kind=ToolErrorKind.TRANSIENT, code="shop_unavailable")
PASSING = [AWAY, Unavailable("away")]

Outage = Callable[[StubTool, int, Exception], None]


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """Makes so many of a tool's next looks fail."""

    def begin(tool: StubTool, times: int, error: Exception) -> None:
        failures = [error] * times
        assess = tool.assess

        async def look(*args: Any) -> Any:
            if failures:
                raise failures.pop()
            return await assess(*args)

        monkeypatch.setattr(tool, "assess", look)

    return begin


@pytest.mark.parametrize("error", PASSING, ids=repr)
async def test_an_outage_after_an_approval_costs_nothing(world: World, outage: Outage, error: Exception) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    run, _ = await started(office)
    outage(tool, ASSESS_TRIES - 1, error)
    await decide_next(office)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, books.statuses, tool.times) == (RunStatus.COMPLETED, ["succeeded"], 1)


async def test_an_outage_that_stays_is_told(world: World, outage: Outage) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sorry."), tools=[tool])
    run, _ = await started(office)
    outage(tool, ASSESS_TRIES, AWAY)
    await decide_next(office)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.statuses, books.errors, tool.times) == (["failed"], ["shop_unavailable"], 0)


@pytest.mark.parametrize("kind", [kind for kind in ToolErrorKind if kind is not ToolErrorKind.TRANSIENT])
async def test_what_will_not_pass_is_looked_at_once(world: World, outage: Outage, kind: ToolErrorKind) -> None:
    """The look that plans the call and the one that would make it."""
    tool = a_read("look")
    outage(tool, 2, ToolError("No.", kind=kind, code="nope"))
    office = await office_with(world, wants("look"), says("Sorry."), tools=[tool])
    run, _ = await started(office)
    assert (await ended(world, run)).errors == ["nope"]
