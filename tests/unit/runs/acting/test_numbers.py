"""Results that are no objects: a bare number is JSON, too."""

from typing import Any

import pytest

from retinue.domain.runs import RunStatus
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import decide_next, goes_on, office_with, resolve, started
from tests.unit.runs.acting.test_effects import HAPPENED, in_doubt
from tests.unit.runs.acting.tools import a_read, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import says


@pytest.mark.parametrize("result", [7, 1.5, "7", {"id": 7}])
async def test_a_person_may_tell_any_result(world: World, result: Any) -> None:
    office, run, _ = await in_doubt(world)
    await resolve(office, run, "send-1", HAPPENED, result)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, books.journal[0].result) == (RunStatus.COMPLETED, result)


@pytest.mark.parametrize("result", [7, 1.5])
async def test_a_tool_may_answer_with_a_number(world: World, result: float) -> None:
    tools = [a_read("look", result), a_write("send")]
    office = await office_with(world, wants("look", "send"), says("Done."), tools=tools)
    run, _ = await started(office)
    await decide_next(office)
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded", "succeeded"]
