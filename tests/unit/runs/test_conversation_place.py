"""Where a reader of a conversation begins, so that it misses nothing from then on."""

import asyncio
from contextlib import aclosing

import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.errors import NotFound
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, event_id, parse_event_id
from retinue.domain.runs import Run
from retinue.runs.follow import ConversationPlace
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_follow_conversation import by_run


async def at_work(world: World, answers: int = 3) -> tuple[Process, Conversation]:
    office = Process(world, *(says("x", "y") for _ in range(answers)))
    await office.configure()
    return office, await world.conversation()


async def a_turn(office: Process, conversation: Conversation) -> Run:
    """A run that has ended."""
    run = await office.start(conversation)
    whole(await office.follow(run))
    await office.idle()
    return run


async def place_of(office: Process, conversation: Conversation, after: str | None = None) -> ConversationPlace:
    """As the edge asks for it, with the id that the client names."""
    named = None if after is None else parse_event_id(after)
    return await office.service.conversation_place(conversation.tenant_id, conversation.id, named)


async def told(
    office: Process, conversation: Conversation, place: ConversationPlace, *runs: Run
) -> list[list[RecordedEvent]]:
    """What a stream from this place tells, which must be all of these runs and nothing before."""
    events: list[RecordedEvent] = []
    stream = office.service.follow_conversation(conversation.tenant_id, conversation.id, place)
    async with asyncio.timeout(DEADLINE), aclosing(stream) as batches:
        while sum(event.is_terminal for event in events) < len(runs):
            events.extend(await anext(batches))
    return by_run(events, *runs)


async def last_of(world: World, run: Run) -> str:
    return event_id(run.id, (await world.stored(run))[-1].position)


async def test_whatever_starts_after_it_was_told_is_told(world: World) -> None:
    """The client is told that it is connected before anybody reads the stream: meanwhile whole runs may come and go."""
    office, conversation = await at_work(world)
    await a_turn(office, conversation)
    place = await place_of(office, conversation)
    runs = [await a_turn(office, conversation) for _ in range(2)]
    for part in await told(office, conversation, place, *runs):
        whole(part)


async def test_an_active_run_is_told_from_its_beginning_even_if_it_ends_before_anybody_reads(world: World) -> None:
    gate = Gate()
    office = Process(world, says("x"), [gate, *says("y")])
    await office.configure()
    conversation = await world.conversation()
    await a_turn(office, conversation)
    run = await office.start(conversation)
    place = await place_of(office, conversation)
    assert place.last_event_id is None, "its events have ids"
    gate.opened.set()
    whole(await office.follow(run))
    (part,) = await told(office, conversation, place, run)
    whole(part)


async def test_an_idle_conversation_is_behind_the_last_event_of_its_newest_run(world: World) -> None:
    office, conversation = await at_work(world, 4)
    lasts = []
    for _ in range(2):
        run = await a_turn(office, conversation)
        lasts.append((await place_of(office, conversation)).last_event_id)
        assert lasts[-1] == await last_of(world, run)
    runs = [await a_turn(office, conversation) for _ in range(2)]
    back = await place_of(office, conversation, lasts[-1])
    assert back.last_event_id is None, "the client has one"
    for part in await told(office, conversation, back, *runs):
        whole(part)


async def test_before_the_first_run_of_all(world: World) -> None:
    office, conversation = await at_work(world)
    last = (await place_of(office, conversation)).last_event_id
    assert last == f"{conversation.id}:0-0"
    runs = [await a_turn(office, conversation) for _ in range(2)]
    back = await place_of(office, conversation, last)
    assert back == ConversationPlace(ordinal=0)
    for part in await told(office, conversation, back, *runs):
        whole(part)


async def test_the_beginning_can_be_asked_for_at_any_time(world: World) -> None:
    gate = Gate()
    office = Process(world, says("x"), [gate, *says("y")])
    await office.configure()
    conversation = await world.conversation()
    first = await a_turn(office, conversation)
    second = await office.start(conversation)
    start = event_id(conversation.id, START)
    place = await place_of(office, conversation, start)
    gate.opened.set()
    for part in await told(office, conversation, place, first, second):
        whole(part)


async def test_the_beginning_of_another_conversation_is_none_of_this(world: World) -> None:
    office, conversation = await at_work(world)
    other = await world.conversation()
    with pytest.raises(NotFound):
        await place_of(office, conversation, event_id(other.id, START))


async def test_what_never_started_does_not_move_the_place(world: World) -> None:
    """A run that was withdrawn has events, but nobody who follows the conversation is told them."""
    gate = Gate()
    office = Process(world, [gate, *says("x")], says("y"))
    await office.configure()
    conversation = await world.conversation()
    run = await office.start(conversation)
    withdrawn = await office.start(conversation, "More", on_busy="enqueue")
    await office.service.cancel(withdrawn.tenant_id, withdrawn.id)
    gate.opened.set()
    whole(await office.follow(run))
    await office.idle()
    last = (await place_of(office, conversation)).last_event_id
    assert last == await last_of(world, run)
    later = await a_turn(office, conversation)
    (part,) = await told(office, conversation, await place_of(office, conversation, last), later)
    whole(part)


async def test_while_only_a_queued_run_is_there(world: World) -> None:
    """Its employee is busy elsewhere; when it starts it is told from its first event."""
    gate = Gate()
    office = Process(world, [gate, *says("x")], says("y"), name="office")
    elsewhere = Process(world, says("y"), name="elsewhere")
    await office.configure()
    conversation = await world.conversation()
    first = await office.start(conversation)
    waiting = await elsewhere.start(conversation, "More", on_busy="enqueue")
    gate.opened.set()
    whole(await office.follow(first))
    await office.idle()
    place = await place_of(elsewhere, conversation)
    assert place.last_event_id == await last_of(world, first)
    await elsewhere.look()
    (part,) = await told(elsewhere, conversation, place, waiting)
    whole(part)
    assert part[0].position == (1, 1)
