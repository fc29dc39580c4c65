"""Answers that were cut off or held back: nothing is done that the model did not ask for to the end."""

import pytest

from retinue.domain.model_io import Finished, FinishReason
from retinue.domain.runs import RunStatus
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import office_with, pending, started
from tests.unit.runs.acting.tools import a_read, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Step, says


def ends(reason: FinishReason, steps: list[Step]) -> list[Step]:
    return [*steps[:-1], Finished(reason)]


@pytest.mark.parametrize("fragment", ['{"text": "delete only /tmp/a', '{"text": "5', "", "  "])
async def test_arguments_that_were_cut_off_are_not_completed(world: World, fragment: str) -> None:
    """Fifty, cut off after five, must not become five; nor nothing at all."""
    read, write = a_read("look"), a_write("send")
    turn = ends(FinishReason.LENGTH, wants(("look", {"text": "whole"}), ("send", fragment)))
    office = await office_with(world, turn, says("Sorry."), tools=[read, write])
    run, _ = await started(office)
    books = await ended(world, run)
    assert await pending(office) == []
    assert (read.times, write.times) == (1, 0), "what came whole is carried out"
    assert books.errors == [None, "invalid_arguments"]
    assert books.answer.tool_log[1].args == fragment


async def test_the_same_text_is_repaired_where_nothing_was_cut_off(world: World) -> None:
    read = a_read("look")
    office = await office_with(world, wants(("look", '{"text": "5')), says("Yes."), tools=[read])
    run, _ = await started(office)
    assert (await ended(world, run)).errors == [None]


@pytest.mark.parametrize("reason", [FinishReason.REFUSAL, FinishReason.CONTENT_FILTER])
async def test_what_was_held_back_is_not_carried_out(world: World, reason: FinishReason) -> None:
    read = a_read("look")
    turn = ends(reason, wants(("look", {"text": "x"}), "look"))
    office = await office_with(world, turn, ends(reason, says("I cannot.")), tools=[read])
    run, _ = await started(office)
    books = await ended(world, run)
    assert read.times == 0
    assert books.errors == ["invalid_arguments"] * 2
    assert (await world.run_now(run)).status is RunStatus.COMPLETED
