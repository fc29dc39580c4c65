"""How much may be appended to a run: messages at once, tokens, and time."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.domain.model_io import Finished, FinishReason, TextPiece
from retinue.domain.runs import RunStatus
from retinue.runs.context import RunCreate
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, Step, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import LIMITS, Process
from tests.unit.runs.test_append import append, begun, contents, outcome
from tests.unit.runs.test_queue import enqueue
from tests.unit.runs.test_runner import asks_for_tools

TWO = msgspec.structs.replace(LIMITS, max_queued=2)
AN_HOUR = msgspec.structs.replace(LIMITS, duration=3600)
Advance = Callable[[float], None]


@pytest.fixture
async def advance(monkeypatch: pytest.MonkeyPatch) -> Advance:
    """Lets the event loop's time pass at once."""
    loop = asyncio.get_running_loop()
    time, passed = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: time() + sum(passed))
    return passed.append


async def test_as_many_as_may_wait_and_no_more(world: World) -> None:
    gates = [Gate(), Gate()]
    office = Process(world, [gates[0], *asks_for_tools()], [gates[1], *says("Yes")], says("And yes"), limits=TWO)
    run, conversation = await begun(office, gates[0])
    await append(office, conversation, "a", "b")
    before = await world.messages_now(conversation.id), await world.run_now(run)
    with pytest.raises(Conflict) as refused:
        await append(office, conversation, "c")
    assert refused.value.problem_code == "queue_full"
    assert (await world.messages_now(conversation.id), await world.run_now(run)) == before, "without a trace"
    gates[0].opened.set()
    await gates[1].wait_until_reached()
    await append(office, conversation, "d", "e")
    with pytest.raises(Conflict):
        await append(office, conversation, "f")
    gates[1].opened.set()
    _, messages = await outcome(office, run)
    assert contents(messages) == ["Hi", "a", "b", "d", "e", "Yes\n\nAnd yes"]


async def test_those_that_wait_for_their_own_run_do_not_count(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], says("2"), says("3"), says("4"), limits=TWO)
    run, conversation = await begun(office, gate)
    *_, last = await enqueue(office, conversation, "x", "y")
    await append(office, conversation, "a", "b")
    gate.opened.set()
    whole(await office.follow(run))
    whole(await office.follow(last))


async def test_one_that_the_model_could_not_hold_is_refused(world: World) -> None:
    """As it is when it would get a run of its own; the run that is there does not suffer from it."""
    gate = Gate()
    office = Process(world, [gate, *says("Yes")])
    run, conversation = await begun(office, gate)
    before = await world.messages_now(conversation.id), await world.run_now(run)
    with pytest.raises(InvalidRequest) as refused:
        await append(office, conversation, "word " * 100_000)
    assert refused.value.problem_code == "message_exceeds_context"
    assert (await world.messages_now(conversation.id), await world.run_now(run)) == before, "without a trace"
    gate.opened.set()
    assert isinstance(whole(await office.follow(run)), e.RunCompleted)


async def test_those_that_the_model_could_not_hold_together_are_refused(world: World) -> None:
    """They are taken at one boundary. What was taken before is history by then."""
    gates = [Gate(), Gate()]
    office = Process(world, [gates[0], *asks_for_tools()], [gates[1], *says("Yes")], says("And yes"))
    run, conversation = await begun(office, gates[0])
    half = "word " * 4_000  # about 5,000 of the 10,000 tokens
    await append(office, conversation, half)
    with pytest.raises(InvalidRequest) as refused:
        await append(office, conversation, half)
    assert refused.value.problem_code == "message_exceeds_context"
    await append(office, conversation, "short")
    gates[0].opened.set()
    await gates[1].wait_until_reached()
    await append(office, conversation, "later")
    gates[1].opened.set()
    _, messages = await outcome(office, run)
    assert contents(messages) == ["Hi", half, "short", "later", "Yes\n\nAnd yes"]


async def test_appended_messages_get_no_time_of_their_own(world: World, advance: Advance) -> None:
    """Else whoever keeps talking keeps a run for ever."""
    gates = [Gate(), Gate()]
    first: list[Step] = [TextPiece("One."), gates[0], Finished(FinishReason.STOP)]
    office = Process(world, first, [TextPiece("Two."), gates[1]], limits=AN_HOUR)
    run, conversation = await begun(office, gates[0])
    await append(office, conversation, "And this?")
    advance(2000)
    gates[0].opened.set()
    await gates[1].wait_until_reached()
    assert (await world.run_now(run)).status is RunStatus.RUNNING
    advance(2000)
    events, messages = await outcome(office, run)
    assert isinstance(end := events[-1].event, e.RunFailed)
    assert end.code == "run_timeout"
    assert contents(messages) == ["Hi", "And this?", "One.\n\nTwo."]


async def test_each_attempt_has_its_own_time(world: World, advance: Advance) -> None:
    gates = [Gate(), Gate()]
    first = Process(world, [gates[0]], limits=AN_HOUR, name="first")
    second = Process(world, [gates[1], *says("Yes")], limits=AN_HOUR, name="second")
    run, _ = await begun(first, gates[0])
    advance(3000)
    await first.freeze(run)
    await second.look()
    await gates[1].wait_until_reached()
    advance(3000)
    gates[1].opened.set()
    assert isinstance(whole(await second.follow(run)), e.RunCompleted)


async def test_the_message_is_named_that_was_stored(world: World) -> None:
    """Not the one that began the run: the client has no other way to learn the id of its own."""
    gate = Gate()
    office = Process(world, [gate, *asks_for_tools()], says("Yes"))
    run, conversation = await begun(office, gate)
    request = RunCreate(content="And this?", on_busy="append")
    accepted = await office.service.start(world.tenant.id, conversation.id, request)
    assert accepted.run.id == run.id
    assert accepted.message_id not in {run.user_message_id, run.message_id}
    gate.opened.set()
    events, messages = await outcome(office, run)
    assert [message.id for message in messages if message.content == "And this?"] == [accepted.message_id]
    assert accepted.message_id in {x.event.user_message_id for x in events if isinstance(x.event, e.MessageAppended)}
