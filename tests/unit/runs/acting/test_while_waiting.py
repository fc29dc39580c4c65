"""What may happen to a run while it waits for a person, and who goes on with it."""

import asyncio

import pytest

from retinue.domain import events as e
from retinue.domain.approvals import ApprovalStatus
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import AssistantTurn, ToolTurn, UserTurn
from retinue.domain.runs import RunStatus
from retinue.domain.signals import SignalKind
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import conversation_of, decide, decide_next, goes_on, office_with, pending, started
from tests.unit.runs.acting.tools import StubTool, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, Step, says
from tests.unit.runs.logs import kinds, whole
from tests.unit.runs.process import Process


async def waiting_office(world: World, tool: StubTool, *then: list[Step]) -> Process:
    return await office_with(world, wants("send", text="I send. "), *then, tools=[tool])


async def test_another_process_takes_it_up(world: World) -> None:
    tool = a_write("send")
    first = await waiting_office(world, tool)
    second = Process(world, says("Sent."), name="second", tools=[tool])
    run, _ = await started(first)
    await decide_next(second)
    await goes_on(second, run)
    books = await ended(world, run)
    assert (tool.times, books.run.attempt, books.answer.content) == (1, 2, "I send. Sent.")
    assert (len(first.provider.requests), len(second.provider.requests)) == (1, 1)


async def test_after_a_restart_nothing_is_lost(world: World) -> None:
    tool = a_write("send")
    first = await waiting_office(world, tool)
    run, _ = await started(first)
    await first.close()
    second = Process(world, says("Sent."), name="second", tools=[tool], is_alone=True)
    await second.look()
    await paused(world, run)
    assert second.supervisor.active_count == 0, "nobody has decided yet"
    (request,) = first.provider.requests
    await decide_next(second)
    await goes_on(second, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])
    assert second.provider.requests[0].turns[: len(request.turns)] == request.turns
    *_, said, results = second.provider.requests[0].turns
    assert isinstance(said, AssistantTurn)
    assert isinstance(results, ToolTurn)
    assert [call.id for call in said.tool_calls] == [result.call_id for result in results.results] == ["send-1"]


async def test_a_decider_without_room_leaves_it_to_others(world: World) -> None:
    tool = a_write("send")
    first = await waiting_office(world, tool, says("Sent."))
    full = Process(world, name="full", tools=[tool], max_active=0, coordination=first.coordination)
    run, _ = await started(first)
    await decide_next(full)
    await full.errands.finish()
    assert SignalKind.ORPHAN in first.heard
    assert (await world.run_now(run)).status is RunStatus.RUNNING
    await first.look()
    await goes_on(first, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


async def test_of_two_processes_one_goes_on(world: World) -> None:
    tool = a_write("send")
    first = await waiting_office(world, tool, says("Sent."))
    second = Process(world, says("Sent."), name="second", tools=[tool])
    run, _ = await started(first)
    await decide_next(first)
    await asyncio.gather(first.look(), second.look(), first.errands.finish())
    await goes_on(second, run)
    await first.idle()
    assert (tool.times, (await ended(world, run)).run.attempt) == (1, 2)


async def test_a_decided_run_whose_process_died_before_it_took_it_up(world: World) -> None:
    """The decision is stored; nobody is told."""
    tool = a_write("send")
    first = await waiting_office(world, tool)
    run, _ = await started(first)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    second = Process(world, says("Sent."), name="second", tools=[tool])
    await second.look()
    await goes_on(second, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


@pytest.mark.parametrize("by", ["run", "conversation", "tenant"])
async def test_cancelling_ends_it_here_and_now(world: World, by: str) -> None:
    tool = a_write("send")
    office = await waiting_office(world, tool)
    run, before = await started(office)
    (approval_id,) = await pending(office)
    match by:
        case "run":
            stopped = await office.service.cancel(run.tenant_id, run.id)
            assert stopped.receipt is not None
        case "conversation":
            (stopped,) = await office.service.cancel_conversation(run.tenant_id, run.conversation_id)
            assert stopped.status is RunStatus.CANCELLED
        case _:
            await office.service.cancel_tenant(run.tenant_id)
    books = await ended(world, run)
    assert (books.run.status, books.answer.content) == (RunStatus.CANCELLED, "I send. ")
    assert (books.statuses, books.errors, tool.times) == (["failed"], ["cancelled"], 0)
    assert books.approvals[0].status is ApprovalStatus.SUPERSEDED
    assert kinds(books.events)[len(before) :] == ["tool_call.finished", "run.cancelled"]
    assert books.actions[-1] == "run.cancelled"
    assert await pending(office) == []
    with pytest.raises(Conflict) as late:
        await decide(office, approval_id)
    assert late.value.problem_code == "approval_superseded"
    again = await office.service.cancel(run.tenant_id, run.id)
    assert again.status is RunStatus.CANCELLED
    assert (await ended(world, run)).actions.count("run.cancelled") == 1


async def test_cancelling_after_the_decision_and_before_anybody_goes_on(world: World) -> None:
    tool = a_write("send")
    first = await waiting_office(world, tool)
    full = Process(world, name="full", tools=[tool], max_active=0)
    run, _ = await started(first)
    await decide_next(full)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    await first.look()
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (0, ["failed"], ["cancelled"])


async def test_a_wish_to_cancel_of_which_nobody_told_this_process(world: World) -> None:
    """It is found in the database before anything else is begun."""
    gate = Gate()
    tools = [a_write("a", gate), a_write("b")]
    office = await office_with(world, wants("a", "b"), tools=tools)
    run, _ = await started(office)
    for approval_id in reversed(await pending(office)):
        await decide(office, approval_id)
    await gate.wait_until_reached()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    gate.opened.set()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, [tool.times for tool in tools]) == (RunStatus.CANCELLED, [1, 0])
    assert (books.statuses, books.errors) == (["succeeded", "failed"], [None, "cancelled"])


async def test_a_new_message_is_rejected_and_told_why(world: World) -> None:
    office = await waiting_office(world, a_write("send"))
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    with pytest.raises(Conflict, match="waits for an approval") as busy:
        await office.start(conversation, "Hello?")
    assert busy.value.problem_code == "conversation_busy"
    with pytest.raises(Conflict, match=str(run.id)):
        await office.service.store_message(run.tenant_id, conversation.id, "Hello?")
    await paused(world, run)


async def test_an_interrupting_message_ends_it(world: World) -> None:
    tool = a_write("send")
    office = await waiting_office(world, tool, says("Never mind."))
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    other = await office.start(conversation, "Stop", on_busy="interrupt")
    whole(await goes_on(office, other))
    books = await ended(world, run)
    assert (books.run.status, tool.times) == (RunStatus.CANCELLED, 0)
    assert (await world.answer_now(other)).content == "Never mind."
    asked = office.provider.requests[-1].turns
    assert [turn for turn in asked if isinstance(turn, AssistantTurn)] == [AssistantTurn(text="I send. ")]


async def test_a_message_that_is_enqueued_waits_for_its_end(world: World) -> None:
    office = await waiting_office(world, a_write("send"), says("Sent."), says("Hello."))
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    other = await office.start(conversation, "Hello?", on_busy="enqueue")
    await office.errands.finish()
    assert (await world.run_now(other)).status is RunStatus.QUEUED
    await decide_next(office)
    await goes_on(office, run)
    whole(await goes_on(office, other))
    assert [message.status for message in await world.messages_now(conversation.id)] == [MessageStatus.COMPLETED] * 4
    await ended(world, run)


async def test_a_queue_goes_on_when_what_it_waits_for_is_cancelled(world: World) -> None:
    office = await waiting_office(world, a_write("send"), says("Hello."))
    run, _ = await started(office)
    other = await office.start(await conversation_of(world, run), "Hello?", on_busy="enqueue")
    await office.service.cancel(run.tenant_id, run.id)
    await office.look()
    whole(await goes_on(office, other))
    assert (await world.answer_now(other)).content == "Hello."


async def test_a_message_that_is_appended_is_taken_when_it_goes_on(world: World) -> None:
    office = await waiting_office(world, a_write("send"), says("Sent, and hello."))
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    same = await office.start(conversation, "Hello?", on_busy="append")
    assert same.id == run.id
    assert (await world.run_now(run)).status is RunStatus.WAITING
    await decide_next(office)
    await goes_on(office, run)
    books = await ended(world, run)
    assert office.provider.requests[-1].turns[-1] == UserTurn("Hello?")
    assert isinstance(office.provider.requests[-1].turns[-2], ToolTurn)
    assert "message.appended" in kinds(books.events)


async def test_an_appended_message_of_a_run_that_is_cancelled_stays(world: World) -> None:
    office = await waiting_office(world, a_write("send"))
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    await office.start(conversation, "Hello?", on_busy="append")
    await office.service.cancel(run.tenant_id, run.id)
    messages = await world.messages_now(conversation.id)
    assert [(message.content, message.status.value) for message in messages] == [
        ("Hi", "completed"),
        ("I send. ", "cancelled"),
        ("Hello?", "completed"),
    ]


async def test_deleting_the_conversation_leaves_nothing_behind(world: World) -> None:
    tool = a_write("send")
    office = await waiting_office(world, tool)
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
    assert await pending(office) == []
    with pytest.raises(NotFound):
        await decide(office, approval_id)
    with pytest.raises(NotFound):
        await office.approvals.continue_run(run.tenant_id, run.id, approval_id)
    assert await office.expiry.sweep() == 0
    await office.look()
    assert (tool.times, office.supervisor.active_count) == (0, 0)


async def test_deleting_while_it_goes_on_stops_it(world: World) -> None:
    gate = Gate()
    office = await waiting_office(world, a_write("send"), [gate, *says("x")])
    run, _ = await started(office)
    await decide_next(office)
    await gate.wait_until_reached()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
    gate.opened.set()
    await office.flush()
    await office.idle()
    assert office.provider.open_streams == 0


async def test_an_employee_that_left_meanwhile_ends_it(world: World) -> None:
    tool = a_write("send")
    office = await waiting_office(world, tool)
    run, _ = await started(office)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.employees.delete(world.employee.id)
    await decide_next(office)
    events = await goes_on(office, run)
    assert isinstance(events[-1].event, e.RunFailed)
    books = await ended(world, run)
    assert (books.run.error_code, tool.times, books.errors) == ("employee_deleted", 0, ["not_made"])
