"""Messages that wait until the run before them is over."""

import asyncio

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.domain.messages import MessageStatus, Role
from retinue.domain.model_io import AssistantTurn, UserTurn
from retinue.domain.runs import Run, RunStatus
from retinue.domain.signals import SignalKind
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.logs import kinds, places, whole
from tests.unit.runs.process import LIMITS, Process


async def begun(office: Process, gate: Gate) -> tuple[Run, Conversation]:
    await office.configure()
    run = await office.start(conversation := await office.world.conversation(), "First")
    await gate.wait_until_reached()
    return run, conversation


async def enqueue(office: Process, conversation: Conversation, *words: str) -> list[Run]:
    return [await office.start(conversation, word, on_busy="enqueue") for word in words]


async def said(world: World, conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.content, message.status.value) for message in await world.messages_now(conversation.id)]


async def starts(world: World, *runs: Run) -> list[int | None]:
    return [(await world.run_now(run)).ordinal for run in runs]


def asked(office: Process) -> list[str]:
    """The questions in the order in which the model got them."""
    return [turn.content for request in office.provider.requests if isinstance(turn := request.turns[-1], UserTurn)]


async def test_they_are_answered_one_after_the_other_in_their_order(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("2"), says("3"), says("4"))
    first, conversation = await begun(office, gate)
    rest = await enqueue(office, conversation, "Second", "Third", "Fourth")
    assert {run.status for run in rest} == {RunStatus.QUEUED}
    assert (await said(world, conversation))[2:4] == [("Second", "pending"), ("", "pending")]
    gate.opened.set()
    for run in rest:
        events = await office.follow(run)
        whole(events)
        assert kinds(events)[:3] == ["run.started", "status.changed", "step.started"]
        assert places(events) == [f"1-{seq}" for seq in range(1, len(events) + 1)]
        assert events[1].event == e.StatusChanged(stage="queued")
    assert asked(office) == ["First", "Second", "Third", "Fourth"]
    assert await starts(world, first, *rest) == [1, 2, 3, 4]
    assert office.provider.requests[2].turns == (
        UserTurn("First"),
        AssistantTurn(text="1"),
        UserTurn("Second"),
        AssistantTurn(text="2"),
        UserTurn("Third"),
    )
    assert {status for _, status in await said(world, conversation)} == {"completed"}


async def test_nobody_has_to_look_around_for_a_chain_of_them(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], *(says("x") for _ in range(5)))
    _, conversation = await begun(office, gate)
    *_, last = await enqueue(office, conversation, *"abcde")
    gate.opened.set()
    whole(await office.follow(last))
    assert office.lookout._rounds == 0


async def test_an_idle_conversation_starts_at_once_whatever_the_policy(world: World) -> None:
    office = Process(world, *(says("x") for _ in range(4)))
    await office.configure()
    for policy in ("reject", "enqueue", "interrupt", "append"):
        run = await office.start(await world.conversation(), on_busy=policy)
        assert (run.status, run.ordinal) == (RunStatus.RUNNING, run.ordinal)
        whole(await office.follow(run))


async def test_the_queue_is_bounded_and_refuses_without_a_trace(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate], limits=msgspec.structs.replace(LIMITS, max_queued=2))
    _, conversation = await begun(office, gate)
    await enqueue(office, conversation, "Second", "Third")
    before = await said(world, conversation)
    for policy in ("enqueue", "interrupt"):
        with pytest.raises(Conflict) as refused:
            await office.start(conversation, "Fourth", on_busy=policy)
        assert refused.value.problem_code == "queue_full"
    assert await said(world, conversation) == before


async def test_what_could_not_be_answered_is_refused_before_it_waits(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    _, conversation = await begun(office, gate)
    with pytest.raises(InvalidRequest) as refused:
        await enqueue(office, conversation, "word " * 100_000)
    assert refused.value.problem_code == "message_exceeds_context"


async def test_who_rejects_is_told_which_run_is_in_the_way(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    first, conversation = await begun(office, gate)
    (second,) = await enqueue(office, conversation, "Second")
    with pytest.raises(Conflict, match=str(first.id)):
        await office.start(conversation, "Third")
    async with world.database.unit(first.tenant_id) as unit:
        await unit.runs.finish(
            first.id, 1, status=RunStatus.FAILED, finish_reason=None, error_code=None, usage=None, cost=None,
            generation_stats=None, event_count=0, text_sha256="", at=first.created_at,
        )  # fmt: skip
    with pytest.raises(Conflict, match=str(second.id)):
        await office.start(conversation, "Third")
    with pytest.raises(Conflict):
        await office.service.store_message(first.tenant_id, conversation.id, "Third")


async def test_what_was_withdrawn_is_no_history(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("3"))
    first, conversation = await begun(office, gate)
    second, third = await enqueue(office, conversation, "Second", "Third")
    await office.service.cancel(first.tenant_id, second.id)
    gate.opened.set()
    whole(await office.follow(third))
    assert office.provider.requests[-1].turns == (UserTurn("First"), AssistantTurn(text="1"), UserTurn("Third"))
    assert await starts(world, first, second, third) == [1, None, 2]


async def test_a_run_that_cannot_start_fails_and_the_next_one_is_tried(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("3"))
    _, conversation = await begun(office, gate)
    second, third = await enqueue(office, conversation, "Second " * 500, "Third")
    await office.configure(context_tokens=300)  # where the second has no room any more
    gate.opened.set()
    end = whole(await office.follow(second))
    assert isinstance(end, e.RunFailed)
    assert end.code == "message_exceeds_context"
    whole(await office.follow(third))
    assert asked(office) == ["First", "Third"]
    messages = await world.messages_now(conversation.id)
    assert [message.status for message in messages if message.role is Role.ASSISTANT] == [
        MessageStatus.COMPLETED,
        MessageStatus.FAILED,
        MessageStatus.COMPLETED,
    ]


async def test_a_run_that_makes_the_process_stumble_fails_and_the_next_one_is_tried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("3"))
    _, conversation = await begun(office, gate)
    second, third = await enqueue(office, conversation, "Second", "Third")
    open_ = office.factory.open

    def stumble_once(config: object) -> object:
        monkeypatch.setattr(office.factory, "open", open_)
        raise ZeroDivisionError(config)

    monkeypatch.setattr(office.factory, "open", stumble_once)
    gate.opened.set()
    end = whole(await office.follow(second))
    assert isinstance(end, e.RunFailed)
    assert end.code == "internal_error"
    whole(await office.follow(third))


async def test_an_employee_at_capacity_lets_them_wait(world: World) -> None:
    gates = [Gate(), Gate()]
    office = Process(world, [gates[0], *says("1")], [gates[1], *says("2")], says("3"))
    await office.configure()
    await office.change_employee(max_concurrent_tasks=2)
    one, other = await world.conversation(), await world.conversation()
    first = await office.start(one, "First")
    await office.start(other, "Second")
    await asyncio.gather(*(gate.wait_until_reached() for gate in gates))
    (waiting,) = await enqueue(office, one, "Third")
    await office.change_employee(max_concurrent_tasks=1)
    gates[0].opened.set()
    whole(await office.follow(first))
    await office.look()
    assert (await world.run_now(waiting)).status is RunStatus.QUEUED
    gates[1].opened.set()
    await office.idle()
    await office.look()
    whole(await office.follow(waiting))


async def test_any_process_starts_what_waits_and_only_one_does(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    others = [Process(world, says("Yes"), name=name) for name in ("second", "third")]
    run, conversation = await begun(first, gate)
    (waiting,) = await enqueue(others[0], conversation, "Second")
    for other in others:
        await other.look()
    assert (await world.run_now(waiting)).status is RunStatus.QUEUED, "one at a time"
    first.runner(run).hand_over()
    await first.idle()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(other.look() for other in others))
    for other in others:
        await other.look()
    whole(await others[0].follow(waiting))
    assert sum(len(other.provider.requests) for other in others) == 1


async def test_a_full_process_leaves_what_waits_to_others(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("2"), max_active=1)
    first, conversation = await begun(office, gate)
    (waiting,) = await enqueue(Process(world, name="elsewhere", max_active=1), conversation, "Second")
    gate.opened.set()
    whole(await office.follow(first))
    await office.idle()
    with office.supervisor.admit(world.tenant.id):
        await office.look()
        await office.dispatcher.start_next(waiting.tenant_id, conversation.id)
        assert (await world.run_now(waiting)).status is RunStatus.QUEUED
    await office.look()
    whole(await office.follow(waiting))


async def test_a_process_that_stops_starts_nothing(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("never"))
    first, conversation = await begun(office, gate)
    (waiting,) = await enqueue(office, conversation, "Second")
    office.supervisor.stop_admitting()
    gate.opened.set()
    whole(await office.follow(first))
    await office.idle()
    await office.errands.finish()
    assert (await world.run_now(waiting)).status is RunStatus.QUEUED


async def test_a_conversation_that_is_gone_has_no_queue(world: World) -> None:
    office = Process(world)
    await office.configure()
    conversation = await world.conversation()
    await office.dispatcher.start_next(world.tenant.id, conversation.id)
    async with world.database.unit(world.tenant.id) as unit:
        await unit.conversations.delete(conversation.id)
    await office.dispatcher.start_next(world.tenant.id, conversation.id)
    assert office.supervisor.active_count == 0


async def test_who_runs_the_conversation_hears_that_something_waits(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("2"))
    _, conversation = await begun(office, gate)
    await enqueue(office, conversation, "Second")
    await until(lambda: SignalKind.QUEUE in office.heard)
