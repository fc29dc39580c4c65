"""Messages that come while a run is active, and that it takes at its next boundary."""

import asyncio
from collections.abc import Sequence

import pytest

from retinue.domain import events as e
from retinue.domain.conversations import Conversation
from retinue.domain.errors import ProviderAuth
from retinue.domain.messages import Message, MessageStatus, Role
from retinue.domain.model_io import AssistantTurn, Finished, FinishReason, TextPiece, ToolTurn, UserTurn
from retinue.domain.runs import Run, RunStatus
from retinue.runs import storing
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, FirstGate, Gate, Step, Weather, says
from tests.unit.runs.logs import kinds, standing, text_of, whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_runner import asks_for_tools


async def begun(office: Process, gate: Gate) -> tuple[Run, Conversation]:
    """A run that came to the gate."""
    await office.configure()
    run = await office.start(conversation := await office.world.conversation())
    await gate.wait_until_reached()
    return run, conversation


async def append(office: Process, conversation: Conversation, *words: str) -> None:
    for word in words:
        run = await office.start(conversation, word, on_busy="append")
        assert run.status is RunStatus.RUNNING


async def outcome(office: Process, run: Run) -> tuple[list[e.RecordedEvent], Sequence[Message]]:
    """The whole log, which says what is stored, and the conversation."""
    events = await office.follow(run)
    await office.idle()
    whole(events)
    assert list(await office.world.stored(run)) == events
    messages = await office.world.messages_now(run.conversation_id)
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    assert (await office.world.answer_now(run)).content == text_of(standing(events))
    return events, messages


def contents(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages]


def taken(events: Sequence[e.RecordedEvent], messages: Sequence[Message]) -> list[str]:
    """The messages that the log says were taken, in its order."""
    by_id = {message.id: message.content for message in messages}
    return [by_id[event.event.user_message_id] for event in events if isinstance(event.event, e.MessageAppended)]


async def test_at_a_tool_boundary_it_is_part_of_the_next_question(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *asks_for_tools()], says("Both."))
    run, conversation = await begun(office, gate)
    await append(office, conversation, "And this?", "And that?")
    gate.opened.set()
    events, messages = await outcome(office, run)
    assert contents(messages) == ["Hi", "And this?", "And that?", "Both."]
    assert {message.status for message in messages} == {MessageStatus.COMPLETED}
    assert taken(events, messages) == ["And this?", "And that?"]
    question, call, results, *more = office.provider.requests[1].turns
    assert (question, more) == (UserTurn("Hi"), [UserTurn("And this?"), UserTurn("And that?")])
    assert (type(call), type(results)) == (AssistantTurn, ToolTurn)
    told = kinds(events)
    assert told.index("message.appended") > told.index("tool_call.finished")
    assert (await world.run_now(run)).appended == 2


async def test_after_the_last_word_it_is_answered_too(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("One."), gate, Finished(FinishReason.STOP)], says("Two."))
    run, conversation = await begun(office, gate)
    await append(office, conversation, "And this?")
    gate.opened.set()
    events, messages = await outcome(office, run)
    assert contents(messages) == ["Hi", "And this?", "One.\n\nTwo."]
    assert taken(events, messages) == ["And this?"]
    assert office.provider.requests[1].turns == (
        UserTurn("Hi"),
        AssistantTurn(text="One."),
        UserTurn("And this?"),
    )
    assert whole(events).finish_reason == "stop"


async def test_between_the_last_word_and_the_end(world: World) -> None:
    """The end is about to be stored when the message is committed: whoever comes second sees the other."""
    office = Process(world, [gate := Gate(), *says("One.")], says("Two."))
    run, conversation = await begun(office, gate)
    world.database.hold = end = FirstGate()
    gate.opened.set()
    await end.wait_until_reached()
    await append(office, conversation, "And this?")
    end.opened.set()
    events, messages = await outcome(office, run)
    assert contents(messages) == ["Hi", "And this?", "One.\n\nTwo."]
    assert taken(events, messages) == ["And this?"]
    assert kinds(events).count("run.completed") == 1


async def test_one_that_comes_too_late_starts_a_run_of_its_own(world: World) -> None:
    office = Process(world, says("One."), says("Two."))
    await office.configure()
    conversation = await world.conversation()
    await office.ask(conversation)
    await office.ask(conversation, "More", on_busy="append")
    assert contents(await world.messages_now(conversation.id)) == ["Hi", "One.", "More", "Two."]
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        assert len(await unit.runs.list(conversation.id, limit=10)) == 2


async def test_what_was_appended_is_history_later(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("One."), gate, Finished(FinishReason.STOP)], says("Two."), says("Three."))
    run, conversation = await begun(office, gate)
    await append(office, conversation, "And this?")
    gate.opened.set()
    await outcome(office, run)
    asked = await office.ask(conversation, "Well?")
    assert asked.turns == (
        UserTurn("Hi"),
        UserTurn("And this?"),
        AssistantTurn(text="One.\n\nTwo."),
        UserTurn("Well?"),
    )


@pytest.mark.parametrize("weather", ["away", "refused", "lost"])
@pytest.mark.parametrize(
    ("script", "earlier"),
    [(asks_for_tools(), []), (says("One."), ["fair"])],  # the end that turns out not to be one
    ids=["at a boundary", "at the end"],
)
async def test_a_boundary_that_is_stored_at_the_second_try(
    world: World, weather: Weather, script: list[Step], earlier: list[Weather]
) -> None:
    """`lost` is the hard case: the first try took the message, and only its answer did not arrive."""
    gate = Gate()
    office = Process(world, [gate, *script], says("Two."))
    run, conversation = await begun(office, gate)
    await append(office, conversation, "And this?")
    world.database.forecast.extend([*earlier, weather])
    gate.opened.set()
    events, messages = await outcome(office, run)
    assert contents(messages)[:2] == ["Hi", "And this?"]
    assert taken(events, messages) == ["And this?"], "once"
    assert office.provider.requests[1].turns.count(UserTurn("And this?")) == 1
    assert (await world.run_now(run)).status is RunStatus.COMPLETED


@pytest.mark.parametrize("weather", ["refused", "lost"])
async def test_a_boundary_that_cannot_be_stored_fails_the_run_and_leaves_no_hole(
    world: World, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    office = Process(world, [gate, *asks_for_tools()], says("never"))
    run, conversation = await begun(office, gate)
    await append(office, conversation, "And this?")
    monkeypatch.setattr(storing, "PATIENCE_SECONDS", 0)
    world.database.forecast.append(weather)
    gate.opened.set()
    events, messages = await outcome(office, run)
    assert kinds(events)[-1] == "run.failed"
    assert "And this?" in contents(messages)
    assert MessageStatus.PENDING not in {message.status for message in messages}
    assert len(office.provider.requests) == 1


async def test_a_run_that_fails_leaves_the_message_unanswered(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, ProviderAuth()])
    run, conversation = await begun(office, gate)
    await append(office, conversation, "And this?")
    gate.opened.set()
    events, messages = await outcome(office, run)
    assert kinds(events)[-1] == "run.failed"
    assert taken(events, messages) == []
    assert [(message.role, message.status) for message in messages] == [
        (Role.USER, MessageStatus.COMPLETED),
        (Role.ASSISTANT, MessageStatus.FAILED),
        (Role.USER, MessageStatus.COMPLETED),
    ]


async def test_a_run_that_is_being_cancelled_takes_nothing_any_more(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("One."), gate], says("Two."))
    run, conversation = await begun(office, gate)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    second = await office.start(conversation, "And this?", on_busy="append")
    assert (second.id != run.id, second.status) == (True, RunStatus.QUEUED)
    await office.service.cancel(run.tenant_id, run.id)
    whole(await office.follow(second))
    assert contents(await world.messages_now(conversation.id)) == ["Hi", "One.", "And this?", "Two."]


async def test_a_cancel_that_comes_while_the_end_turns_out_not_to_be_one(world: World) -> None:
    """The end was about to be stored; then a message was appended, and then somebody cancelled."""
    office = Process(world, [gate := Gate(), *says("One.")], says("never"))
    run, conversation = await begun(office, gate)
    world.database.hold = end = FirstGate()
    gate.opened.set()
    await end.wait_until_reached()
    await append(office, conversation, "And this?")
    cancelling = asyncio.create_task(office.service.cancel(run.tenant_id, run.id))
    await asyncio.sleep(0)
    end.opened.set()
    async with asyncio.timeout(DEADLINE):
        assert (await cancelling).status is RunStatus.CANCELLED
    _, messages = await outcome(office, run)
    assert len(office.provider.requests) == 1
    assert MessageStatus.PENDING not in {message.status for message in messages}


@pytest.mark.parametrize(
    ("script", "answer"),
    [([TextPiece("I look. "), *asks_for_tools()], "I look. Two."), (says("One."), "One.\n\nTwo.")],
    ids=["at a boundary", "at the end"],
)
async def test_what_was_taken_is_not_lost_with_the_process(world: World, script: list[Step], answer: str) -> None:
    gates = [Gate(), Gate()]
    first = Process(world, [gates[0], *script], [TextPiece("lost"), gates[1]], name="first")
    second = Process(world, says("Two."), name="second")
    run, conversation = await begun(first, gates[0])
    await append(first, conversation, "And this?")
    gates[0].opened.set()
    await gates[1].wait_until_reached()
    await first.freeze(run)
    await second.look()
    events, messages = await outcome(second, run)
    assert contents(messages) == ["Hi", "And this?", answer]
    assert taken(events, messages) == ["And this?"]
    (asked,) = second.provider.requests
    assert asked.turns[-1] == UserTurn("And this?")


async def test_what_was_not_taken_yet_is_taken_by_the_next_process(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("lost"), gate], name="first")
    second = Process(world, says("One."), says("Two."), name="second")
    run, conversation = await begun(first, gate)
    await append(first, conversation, "And this?")
    await first.freeze(run)
    await second.look()
    events, messages = await outcome(second, run)
    assert contents(messages) == ["Hi", "And this?", "One.\n\nTwo."]
    assert taken(events, messages) == ["And this?"]
