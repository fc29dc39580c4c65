"""What people say counts until the call is made, whatever else has become possible meanwhile."""

from typing import Any

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.approvals import ApprovalStatus, Decision
from retinue.domain.errors import PasswordRefused, ToolError
from retinue.domain.runs import RunStatus
from retinue.domain.tools import Resolution, Risk
from retinue.runs.calls.permissions import Permissions
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import (
    decide,
    decide_next,
    goes_on,
    let_time_pass,
    office_with,
    pending,
    resolve,
    started,
)
from tests.unit.runs.acting.tools import a_read, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.process import Process

DENY = Decision.DENY


async def test_a_denial_beats_a_grant_that_has_just_made_the_question_needless(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = Gate(), Permissions.supersede

    async def slow(*args: Any) -> bool:
        await gate()
        return await real(*args)

    monkeypatch.setattr(Permissions, "supersede", slow)
    tool = a_write("send")
    calls = wants(("send", {"text": "a"}), ("send", {"text": "b"}))
    office = await office_with(world, calls, says("One."), tools=[tool])
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, first, Decision.ALLOW_FOR_CONVERSATION)
    await gate.wait_until_reached()
    await decide(office, second, DENY)
    gate.opened.set()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses) == (1, ["succeeded", "denied"])


async def test_a_denial_holds_for_what_has_become_harmless(world: World) -> None:
    tool = a_read("look", risk=Risk.MEDIUM)
    office = await office_with(world, wants("look"), says("Then not."), tools=[tool])
    full = Process(world, name="full", tools=[tool], max_active=0)
    run, _ = await started(office)
    await decide_next(full, DENY)
    await full.errands.finish()
    tool.assessment = msgspec.structs.replace(tool.assessment, risk=Risk.LOW)
    await office.look()
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).statuses) == (0, ["denied"])


async def test_a_decision_that_comes_while_the_run_works_is_told(world: World) -> None:
    gate = Gate()
    tools = [a_write("a", gate), a_write("b")]
    office = await office_with(world, wants("a", "b"), says("Both."), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, first)
    await gate.wait_until_reached()
    await decide(office, second)
    gate.opened.set()
    await goes_on(office, run)
    books = await ended(world, run)
    told = [event.event.approval_id for event in books.events if isinstance(event.event, e.ApprovalDecided)]
    assert told == [first, second]


@pytest.mark.parametrize(
    ("resolution", "result", "error"),
    [(Resolution.HAPPENED, {"id": 7}, None), (Resolution.DID_NOT_HAPPEN, None, "did_not_happen")],
)
@pytest.mark.parametrize("ends", ["cancelled", "cannot go on"])
async def test_what_a_person_found_out_is_told_although_the_run_ends(
    world: World, ends: str, resolution: Resolution, result: Any, error: str | None
) -> None:
    office = await office_with(world, wants("send"), tools=[tool := a_write("send", ToolError("Lost."))])
    full = Process(world, name="full", tools=[tool], max_active=0)
    run, _ = await started(office)
    await decide_next(office)
    await goes_on(office, run)
    await paused(world, run)
    await resolve(full, run, "send-1", resolution, result)
    await full.errands.finish()
    async with world.database.unit(run.tenant_id) as unit:
        if ends == "cancelled":
            await unit.runs.request_cancel(run.id)
        else:
            await unit.employees.delete(world.employee.id)
    await office.look()
    books = await ended(world, run)
    assert books.run.status is (RunStatus.CANCELLED if ends == "cancelled" else RunStatus.FAILED)
    [entry] = books.answer.tool_log
    assert (entry.result, entry.error) == (result, error)


async def test_a_call_that_was_allowed_did_not_expire_when_another_did(world: World) -> None:
    tools = [a_write("a"), a_write("b")]
    office = await office_with(world, wants("a", "b"), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, second)
    await let_time_pass(world)
    assert await office.expiry.sweep() == 1
    books = await ended(world, run)
    assert [asked.status for asked in books.approvals] == [ApprovalStatus.EXPIRED, ApprovalStatus.GRANTED]
    assert (books.statuses, books.errors) == (["expired", "failed"], ["expired", "not_made"])
    assert first != second


async def test_a_tool_that_needs_no_password_cannot_have_one_asked_for(world: World) -> None:
    """Nobody could give it: under a grant, the approval is another call's."""
    tool = a_write("send", "first", PasswordRefused())
    calls = wants(("send", {"text": "a"})), says("One."), wants(("send", {"text": "b"}), first=2), says("No.")
    office = await office_with(world, *calls, tools=[tool])
    conversation = await world.conversation()
    run = await office.start(conversation)
    await office.follow(run)
    await office.idle()
    await decide_next(office, Decision.ALLOW_FOR_CONVERSATION)
    await goes_on(office, run)
    second = await office.start(conversation, "Again")
    await goes_on(office, second)
    books = await ended(world, second)
    assert (books.run.status, books.errors) == (RunStatus.COMPLETED, ["wrong_password"])
