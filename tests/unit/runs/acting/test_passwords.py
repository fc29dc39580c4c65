"""Calls that need a password: asked for, tried once, and nowhere afterwards."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.errors import Conflict, NotFound, PasswordRefused, ToolError, Unavailable
from retinue.domain.ids import new_id
from retinue.domain.runs import RunStatus, WaitingFor
from retinue.domain.secret import Secret
from retinue.domain.tools import Risk
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import (
    decide_next,
    give_password,
    goes_on,
    let_time_pass,
    office_with,
    pause_of,
    started,
)
from tests.unit.runs.acting.tools import StubTool, a_sudo, a_tool, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import FirstGate, Gate, says
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process, Published

CANARY = "correct-horse-battery-staple"
WRONG = PasswordRefused()


async def at_the_password(world: World, tool: StubTool, **more: Any) -> tuple[Process, Any, Any]:
    """A call that was allowed and waits for its password: the process, the run, the approval's id."""
    office = await office_with(world, wants("sudo"), says("Done."), tools=[tool], **more)
    run, _ = await started(office)
    approval = await decide_next(office)
    pause = pause_of(await goes_on(office, run))
    assert (pause.waiting_for, pause.approval_ids) == (WaitingFor.PASSWORD, (approval.id,))
    return office, run, approval.id


async def test_it_is_asked_for_after_the_approval_and_used_once(world: World) -> None:
    tool = a_sudo("updated")
    office, run, approval_id = await at_the_password(world, tool)
    books = await paused(world, run)
    asked, expires_at = books.events[-3].event, books.approvals[0].password_expires_at
    assert expires_at is not None
    assert kinds(books.events)[-3:] == ["password.requested", "status.changed", "run.paused"]
    assert asked == e.PasswordRequested(
        approval_id=approval_id,
        tool_call_id="sudo-1",
        tool="sudo",
        expires_at=expires_at,
        tries_left=3,
    )
    assert (tool.times, books.statuses) == (0, ["approved"])
    place = await give_password(office, run, approval_id, CANARY)
    assert place == books.events[-1].position
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.passwords, books.statuses, books.run.status) == ([CANARY], ["succeeded"], RunStatus.COMPLETED)
    assert len(office.provider.requests) == 2
    expected = ["approval.requested", "approval.decided", "secret.supplied", "tool.called", "tool.finished"]
    assert books.actions == expected


async def test_a_wrong_one_is_asked_for_again_until_the_tries_are_used_up(world: World) -> None:
    tool = a_sudo(WRONG, WRONG, WRONG)
    office, run, approval_id = await at_the_password(world, tool)
    for tries_left in (2, 1):
        await give_password(office, run, approval_id, "nope")
        pause = pause_of(await goes_on(office, run))
        assert pause.waiting_for is WaitingFor.PASSWORD
        books = await paused(world, run)
        asked = books.events[-3].event
        assert isinstance(asked, e.PasswordRequested)
        assert asked.tries_left == tries_left
        assert (books.approvals[0].password_tries, books.statuses) == (3 - tries_left, ["approved"])
    await give_password(office, run, approval_id, "nope")
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (3, ["failed"], ["wrong_password"])
    assert books.run.status is RunStatus.COMPLETED


async def test_the_right_one_after_a_wrong_one(world: World) -> None:
    tool = a_sudo(WRONG, "done")
    office, run, approval_id = await at_the_password(world, tool)
    await give_password(office, run, approval_id, "nope")
    await goes_on(office, run)
    await give_password(office, run, approval_id, CANARY)
    await goes_on(office, run)
    assert (tool.passwords, (await ended(world, run)).statuses) == (["nope", CANARY], ["succeeded"])


async def test_of_two_at_the_same_time_one_is_tried(world: World) -> None:
    tool = a_sudo()
    office, run, approval_id = await at_the_password(world, tool)
    said = await asyncio.gather(
        *(give_password(office, run, approval_id, f"{CANARY}-{number}") for number in range(5)), return_exceptions=True
    )
    lost = [error.problem_code for error in said if isinstance(error, Conflict)]
    assert lost == ["password_not_awaited"] * 4
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


async def test_one_that_comes_too_late(world: World) -> None:
    tool = a_sudo()
    office, run, approval_id = await at_the_password(world, tool)
    await let_time_pass(world)
    with pytest.raises(Conflict) as late:
        await give_password(office, run, approval_id, CANARY)
    assert late.value.problem_code == "approval_expired"
    assert tool.times == 0
    await office.expiry.sweep()
    books = await ended(world, run)
    assert (books.run.status, books.run.error_code, books.statuses) == (
        RunStatus.EXPIRED,
        "password_expired",
        ["expired"],
    )


async def test_one_that_nobody_asked_for(world: World) -> None:
    office = await office_with(world, wants("sudo"), says("Done."), tools=[a_sudo()])
    run, _ = await started(office)
    (approval,) = (await paused(world, run)).approvals
    for run_id, approval_id, error in (
        (run.id, approval.id, Conflict),
        (new_id(), approval.id, NotFound),
        (run.id, new_id(), NotFound),
    ):
        with pytest.raises(error):
            await office.approvals.give_password(run.tenant_id, run_id, approval_id, Secret(CANARY))
    with pytest.raises(NotFound):
        await office.approvals.give_password(new_id(), run.id, approval.id, Secret(CANARY))
    await paused(world, run)


async def test_a_second_one_after_the_call(world: World) -> None:
    office, run, approval_id = await at_the_password(world, a_sudo())
    await give_password(office, run, approval_id, CANARY)
    await goes_on(office, run)
    with pytest.raises(Conflict) as late:
        await give_password(office, run, approval_id, CANARY)
    assert late.value.problem_code == "password_not_awaited"


async def test_a_process_without_room_takes_none(world: World) -> None:
    tool = a_sudo()
    office, run, approval_id = await at_the_password(world, tool)
    full = Process(world, name="full", tools=[tool], max_active=0)
    with pytest.raises(Unavailable):
        await give_password(full, run, approval_id, CANARY)
    await paused(world, run)
    await give_password(office, run, approval_id, CANARY)
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded"]


async def test_it_works_in_whatever_process_gets_it(world: World) -> None:
    tool = a_sudo()
    _, run, approval_id = await at_the_password(world, tool)
    second = Process(world, says("Done."), name="second", tools=[tool])
    await give_password(second, run, approval_id, CANARY)
    await goes_on(second, run)
    assert (tool.passwords, (await ended(world, run)).statuses) == ([CANARY], ["succeeded"])


async def test_a_process_that_dies_with_it_takes_it_along(world: World) -> None:
    """It is in no database; so it is asked for again."""
    tool = a_sudo()
    office, run, approval_id = await at_the_password(world, tool)
    world.database.hold = gate = FirstGate()
    giving = asyncio.create_task(give_password(office, run, approval_id, CANARY))
    await gate.wait_until_reached()
    world.database.hold = held = Gate()
    gate.opened.set()
    await giving
    await held.wait_until_reached()
    world.database.hold = None
    await office.freeze(run)
    second = Process(world, says("Done."), name="second", tools=[tool])
    await second.look()
    events = await goes_on(second, run)
    assert pause_of(events).waiting_for is WaitingFor.PASSWORD
    held.opened.set()
    await office.idle()
    assert tool.times == 0
    await paused(world, run)
    await give_password(second, run, approval_id, CANARY)
    await goes_on(second, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


async def test_cancelling_while_it_is_waited_for(world: World) -> None:
    tool = a_sudo()
    office, run, approval_id = await at_the_password(world, tool)
    await office.service.cancel(run.tenant_id, run.id)
    books = await ended(world, run)
    assert (books.run.status, books.errors, tool.times) == (RunStatus.CANCELLED, ["cancelled"], 0)
    with pytest.raises(Conflict) as late:
        await give_password(office, run, approval_id, CANARY)
    assert late.value.problem_code == "password_not_awaited"


async def test_the_password_serves_no_other_call(world: World) -> None:
    tools = [a_sudo(), a_write("send")]
    office = await office_with(world, wants("sudo", "send", "sudo"), says("Done."), tools=tools)
    run, _ = await started(office)
    for _ in range(3):
        await decide_next(office)
    pause_of(await goes_on(office, run))
    (first, _, third) = (await paused(world, run)).approvals
    await give_password(office, run, first.id, "one")
    pause = pause_of(await goes_on(office, run))
    assert pause.approval_ids == (third.id,)
    await give_password(office, run, third.id, "three")
    await goes_on(office, run)
    assert [tool.passwords for tool in tools] == [["one", "three"], [None]]
    assert (await ended(world, run)).statuses == ["succeeded"] * 3


@pytest.mark.parametrize("fault", [WRONG, ValueError(CANARY), ToolError("No.", took_effect=False), None], ids=repr)
async def test_it_is_nowhere_afterwards(
    world: World, tmp_path: Path, quiet: Sequence[Mapping[str, Any]], fault: Exception | None
) -> None:
    tool = a_sudo(*([fault] if fault else []))
    office, run, approval_id = await at_the_password(world, tool)
    published = Published(office)
    await give_password(office, run, approval_id, CANARY)
    await goes_on(office, run)
    await office.flush()
    assert tool.passwords == [CANARY]
    await office.close()
    await world.database.aclose()  # the write-ahead log goes into the file
    for path in tmp_path.iterdir():
        assert CANARY.encode() not in path.read_bytes(), path.name
    assert CANARY not in str(quiet)
    assert CANARY not in str([msgspec.to_builtins(event.event) for event in published.said])
    assert CANARY not in str(office.provider.requests)
    assert CANARY not in str(vars(office.supervisor))


async def test_a_password_is_asked_for_whatever_the_risk(world: World) -> None:
    """A tool that calls itself harmless is allowed by a person all the same, and no grant covers it."""
    tool = a_tool("sudo", risk=Risk.LOW, needs_password=True)
    office, run, approval_id = await at_the_password(world, tool)
    await give_password(office, run, approval_id, CANARY)
    await goes_on(office, run)
    assert (tool.passwords, (await ended(world, run)).statuses) == ([CANARY], ["succeeded"])
