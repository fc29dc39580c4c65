"""One stream over all runs of a conversation."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import UUID

import msgspec
import pytest

from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.errors import NotFound, StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position, new_id
from retinue.domain.model_io import TextPiece
from retinue.domain.runs import Run
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process

Stream = AsyncGenerator[Sequence[RecordedEvent], None]


async def stream_of(office: Process, conversation: Conversation, after: tuple[UUID, Position] | None = None) -> Stream:
    place = await office.service.conversation_place(conversation.tenant_id, conversation.id, after)
    batches = office.service.follow_conversation(conversation.tenant_id, conversation.id, place)
    async with aclosing(batches):
        async for events in batches:
            yield events


async def until_ends(stream: Stream, count: int) -> list[RecordedEvent]:
    """What comes until so many runs have ended."""
    events: list[RecordedEvent] = []
    async with asyncio.timeout(DEADLINE):
        while sum(event.is_terminal for event in events) < count:
            events.extend(await anext(stream))
    return events


def by_run(events: Sequence[RecordedEvent], *runs: Run) -> list[list[RecordedEvent]]:
    """The events of each run, which come in this order and do not mix."""
    parts = [[event for event in events if event.run_id == run.id] for run in runs]
    assert [event for part in parts for event in part] == list(events)
    return parts


async def close(world: World, conversation: Conversation) -> None:
    async with world.database.unit(world.tenant.id) as unit:
        now = await unit.conversations.get(conversation.id)
        await unit.conversations.update(msgspec.structs.replace(now, status=ConversationStatus.CLOSED))


async def test_runs_come_in_the_order_of_their_starts(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("Hel"), gate], *(says("x") for _ in range(3)))
    await office.configure()
    conversation = await world.conversation()
    first = await office.start(conversation)
    stream = stream_of(office, conversation)
    await gate.wait_until_reached()
    patient = await office.start(conversation, "Patient", on_busy="enqueue")
    urgent = await office.start(conversation, "Urgent", on_busy="interrupt")
    events = await until_ends(stream, 3)
    for part in by_run(events, first, urgent, patient):
        whole(part)
    last = await office.start(conversation, "And on")
    whole(await until_ends(stream, 1))
    await close(world, conversation)
    with pytest.raises(StopAsyncIteration):
        async with asyncio.timeout(DEADLINE):
            await anext(stream)
    assert (await world.run_now(last)).ordinal == 4


async def test_an_idle_conversation_is_waited_for(world: World) -> None:
    office = Process(world, says("before"), says("after"))
    await office.configure()
    conversation = await world.conversation()
    whole(await office.follow(await office.start(conversation)))
    await office.idle()
    stream = stream_of(office, conversation)
    reader = asyncio.create_task(until_ends(stream, 1))
    await until(lambda: bool(office.wakes._watching))
    run = await office.start(conversation)
    (part,) = by_run(await reader, run)
    whole(part)
    await stream.aclose()


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("seen", [1, 3, -1])
async def test_from_any_event_of_any_run(world: World, which: int, seen: int) -> None:
    office = Process(world, *(says("x", "y") for _ in range(3)))
    await office.configure()
    conversation = await world.conversation()
    runs = [await office.start(conversation) for _ in range(1)]
    logs = [await office.follow(runs[0])]
    for _ in range(2):
        await office.idle()
        runs.append(await office.start(conversation))
        logs.append(await office.follow(runs[-1]))
    await close(world, conversation)
    place = logs[which][seen].position
    rest = [event for log in logs[which:] for event in log]
    rest = rest[[event.position for event in logs[which]].index(place) + 1 :]
    async with asyncio.timeout(DEADLINE):
        after = (runs[which].id, place)
        assert [event async for batch in stream_of(office, conversation, after) for event in batch] == rest


async def test_from_an_event_of_a_run_that_still_waits(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("x")], says("y"))
    await office.configure()
    conversation = await world.conversation()
    first = await office.start(conversation)
    waiting = await office.start(conversation, "More", on_busy="enqueue")
    stream = stream_of(office, conversation, (waiting.id, Position(1, 1)))
    gate.opened.set()
    before, after = by_run(await until_ends(stream, 2), first, waiting)
    whole(before)
    assert after[0].position == (1, 2)
    await stream.aclose()


async def test_a_closed_conversation_is_told_to_its_end(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("x")], says("y"))
    await office.configure()
    conversation = await world.conversation()
    first = await office.start(conversation)
    waiting = await office.start(conversation, "More", on_busy="enqueue")
    await close(world, conversation)
    stream = stream_of(office, conversation)
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        events = [event async for batch in stream for event in batch]
    for part in by_run(events, first, waiting):
        whole(part)


async def test_what_is_not_there_cannot_be_followed(world: World) -> None:
    office = Process(world)
    conversation, run = await world.conversation(), await world.run()
    for tenant_id, conversation_id, after in (
        (new_id(), conversation.id, None),
        (world.tenant.id, new_id(), None),
        (world.tenant.id, conversation.id, (run.id, Position(1, 1))),
        (world.tenant.id, conversation.id, (new_id(), Position(1, 1))),
    ):
        with pytest.raises(NotFound):
            await office.service.conversation_place(tenant_id, conversation_id, after)


@pytest.mark.parametrize("is_busy", [True, False])
async def test_a_conversation_that_is_deleted_breaks_its_readers_off(world: World, is_busy: bool) -> None:
    office = Process(world)
    conversation = await world.conversation()
    if is_busy:
        world.log.close((await world.run_in(conversation)).id)
    reader = asyncio.create_task(until_ends(stream_of(office, conversation), 1))
    await until(lambda: bool(office.wakes._watching))
    async with world.database.unit(world.tenant.id) as unit:
        await unit.conversations.delete(conversation.id)
    office.service.tell(world.tenant.id, conversation.id)
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(StreamBroken):
            await reader
