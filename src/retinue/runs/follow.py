"""Reads runs' events from any position, live or later."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec

from retinue.coordination.base import EventLog, Sink, Tail
from retinue.db.session import Database, Unit
from retinue.domain.errors import InvalidRequest, NotFound, StorageFailed, StreamBroken, StreamMoved, Unavailable
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, event_id
from retinue.domain.runs import ACTIVE_STATUSES, RunStatus
from retinue.runs.looks import Looks
from retinue.runs.reader import Reader
from retinue.runs.wakes import Wakes, Watch

T = TypeVar("T")

POLL_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""Between two looks for a conversation's next run. A signal tells of it; while signals may get lost, see `Lookout`."""
PATIENCE_SECONDS = 20.0
"""How long a follower waits for a database that is away."""


class ConversationPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reader of a conversation is."""

    ordinal: int
    """Of the newest run that it needs nothing more of."""
    places: Mapping[UUID, Position] = {}
    """How far it has read other runs."""
    last_event_id: str | None = None
    """Where nothing has been read and nothing is active: the id by which it can come back to this place."""


class Follower:
    """Merges the live tail with the stored log.

    Guarantees: events come in the order of their positions, each once, without a hole; the last one is terminal, or a
    pause of a run that still waits. A pause after which the run has gone on is left out. What is not kept any more is
    told as a snapshot. A reader that takes its time makes nobody else wait: what it misses live it reads from the
    database. No connection is held between two batches.
    """

    def __init__(self, database: Database, log: EventLog, wakes: Wakes, stopping: asyncio.Event) -> None:
        self._database = database
        self._looks = Looks(database)
        self.read = self._looks.read
        self._log = log
        self._wakes = wakes
        self._stopping = stopping

    async def follow(
        self,
        tenant_id: UUID,
        run_id: UUID,
        after: Position = START,
        sink: Sink | None = None,
        *,
        watch: Watch | None = None,
        leaves_queue: bool = False,
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Yield batches until the run has ended, or waits for a person.

        Args:
            sink: is given the events that need no waiting, as soon as they are there; what it takes is not yielded.
            watch: of the run's conversation, to tell of every pause and wait with the run instead of ending there.
            leaves_queue: end without an event once the run is queued behind one that waits for a person.

        Raises:
            StreamBroken: the run's end could not be stored, the run was deleted, it ended before it came to `after`,
                or the database stays away.
            StreamMoved: this process stops while the run goes on elsewhere.
        """
        reader = Reader(tenant_id, run_id, after, sink, ends_at_pause=watch is None, leaves_queue=leaves_queue)
        own: Watch | None = None
        try:
            while not reader.ended():
                if watch is None and reader.conversation_id is not None:
                    watch = own = self._wakes.begin(reader.conversation_id)
                batches = self._pass(reader, watch)
                try:
                    async for events in batches:
                        yield events
                finally:
                    await batches.aclose()
        finally:
            if own is not None and reader.conversation_id is not None:
                self._wakes.end(reader.conversation_id, own)

    async def _pass(self, reader: Reader, watch: Watch | None) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Everything that there is now; then wait until there may be more."""
        if watch is not None:
            watch.begin()
        async with self._log.tail(reader.tenant_id, reader.run_id) as tail:
            batches = self._through(tail, reader)
            try:
                async for events in batches:
                    if told := await self._told(reader, events):
                        yield told
                    if reader.ended():
                        return
            finally:
                await batches.aclose()
        if not reader.ended():
            await self._between(reader, watch)

    async def _told(self, reader: Reader, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        """The events without pauses that are over. Where the last one is not, the reader has come to its end."""
        if not reader.ends_at_pause or not any(event.is_pause for event in events):
            return events
        *earlier, last = events
        told = [event for event in earlier if not event.is_pause]
        if last.is_pause and not await self._patiently(reader, self._looks.waits_at, last.position):
            return told
        reader.is_done |= last.is_pause
        return [*told, last]

    async def _between(self, reader: Reader, watch: Watch | None) -> None:
        """Before the next look. A run that waits for a person may do so for long."""
        if watch is not None:
            rests = not reader.ends_at_pause and await self._waits(reader)
            await self._stay(watch, QUIET_SECONDS if rests else POLL_SECONDS)
            reader.has_news = watch.news.is_set()
        elif reader.conversation_id is None:
            await self._pause(None)

    async def _waits(self, reader: Reader) -> bool:
        try:
            return await self._looks.waits_at(reader.tenant_id, reader.run_id, reader.cursor)
        except Unavailable:
            return False

    async def _through(self, tail: Tail, reader: Reader) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Everything that comes through a tail, holes filled; ends when the tail is closed or the run over."""
        while not reader.ended():
            batch = await reader.next_of(tail)
            if batch.is_broken and not batch.has_gap:
                raise StreamBroken
            events = batch.events or await self._stored(reader, is_final=batch.is_broken or reader.has_news)
            if events:
                reader.advance(events)
                yield events
                continue
            if reader.ended():
                return
            if batch.is_broken:
                raise StreamBroken
            if reader.is_waiting and await self._waits(reader):
                reader.is_done = reader.ends_at_pause
                return
            if batch.is_closed:
                return
            if self._stopping.is_set():
                raise StreamMoved
            if not batch.is_idle:
                # The run is live here, and its newest events are on their way to the database.
                await self._pause(reader.conversation_id)

    async def _stored(self, reader: Reader, *, is_final: bool) -> Sequence[RecordedEvent]:
        """What the database has for a reader.

        Raises:
            StreamBroken: the run was deleted, ended before it came to the reader's place, or the database stays away.
        """
        return reader.see(await self._patiently(reader, partial(self._looks.after, is_final=is_final), reader.cursor))

    async def _patiently(
        self, reader: Reader, look: Callable[[UUID, UUID, Position], Awaitable[T]], place: Position
    ) -> T:
        """Raises: StreamBroken: the database stays away."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        return await look(reader.tenant_id, reader.run_id, place)
                    except Unavailable:
                        await self._pause(reader.conversation_id)
        except TimeoutError:
            raise StreamBroken("The stored events cannot be read at the moment.") from None
        except StorageFailed:
            raise StreamBroken("The stored events cannot be read.") from None

    async def follow_conversation(
        self, tenant_id: UUID, conversation_id: UUID, start: ConversationPlace, sink: Sink | None = None
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Yield batches of all runs of a conversation from a place, one run after the other in the order of their
        starts. Ends when the conversation is closed and everything has been told. For `sink` see `follow`.

        Raises:
            StreamBroken, StreamMoved: see `follow`; also when the conversation was deleted.
        """
        ordinal, places = start.ordinal, dict(start.places)
        with self._wakes.watch(conversation_id) as watch:
            while True:
                watch.begin()
                try:
                    found = await self._looks.next_run(tenant_id, conversation_id, ordinal)
                except Unavailable:
                    await self._pause(conversation_id)
                    continue
                if found.run is None and found.is_last:
                    return
                if found.run is None or found.run.ordinal is None:
                    await self._stay(watch)
                    continue
                ordinal = found.run.ordinal
                place = places.pop(found.run.id, START)
                run_id = found.run.id
                async with aclosing(self.follow(tenant_id, run_id, place, sink, watch=watch)) as batches:
                    async for events in batches:
                        yield events

    async def conversation_place(
        self, tenant_id: UUID, conversation_id: UUID, after: tuple[UUID, Position] | None = None
    ) -> ConversationPlace:
        """Where a stream of the conversation has to begin so that nothing is missed from now on.

        Behind the event that `after` names; without it with the run that is active, from its first event. The id
        `<conversation>:0-0` stands before its first run.

        Raises:
            NotFound: no such conversation, or no such run in it.
        """
        async with self._database.unit(tenant_id, read_only=True) as unit:
            await unit.conversations.get(conversation_id)
            if after == (conversation_id, START):
                return ConversationPlace(ordinal=0)
            if after is not None:
                run = await unit.runs.find(after[0])
                if run is None or run.conversation_id != conversation_id:
                    raise NotFound("There is no such run in this conversation.")
                if run.ordinal is not None:
                    return ConversationPlace(ordinal=run.ordinal - 1, places={run.id: after[1]})
            # Before looking for the active run: one that starts in between is then among those that follow.
            newest = await unit.runs.next_ordinal(conversation_id) - 1
            active = await unit.runs.active(conversation_id)
            if active is not None and active.ordinal is not None:
                return ConversationPlace(ordinal=active.ordinal - 1, places=dict([after] if after else []))
            last = None if after else await _last_event_id(unit, conversation_id, newest)
            return ConversationPlace(ordinal=newest, places=dict([after] if after else []), last_event_id=last)

    async def place(self, tenant_id: UUID, run_id: UUID, position: Position) -> bool:
        """Whether nothing will follow this position by itself: the run has ended, or waits for a person, right there.

        Raises:
            NotFound: no such run.
            InvalidRequest: `unknown_event_id`; the run has no such event and will have none.
        """
        async with self._database.unit(tenant_id, read_only=True) as unit:
            run = await unit.runs.get(run_id)
            if run.status in ACTIVE_STATUSES and run.status is not RunStatus.WAITING:
                last = None
            else:
                last = await unit.run_events.last_position(run_id)
        if position.attempt > run.attempt or (last is not None and position > last):
            raise InvalidRequest("The run has no such event.", code="unknown_event_id")
        return last == position

    async def _pause(self, conversation_id: UUID | None) -> None:
        """Until there is news of the conversation, or it is time to look again."""
        self._go_on()
        if conversation_id is None:
            await asyncio.sleep(POLL_SECONDS)
        else:
            await self._wakes.wait(conversation_id, POLL_SECONDS)
        self._go_on()

    async def _stay(self, watch: Watch, seconds: float = QUIET_SECONDS) -> None:
        """Until the conversation has news; it may take long."""
        self._go_on()
        await watch.wait(seconds)
        self._go_on()

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise StreamMoved


async def _last_event_id(unit: Unit, conversation_id: UUID, newest: int) -> str:
    """Of the newest run; the place before all runs if there is none."""
    run = await unit.runs.next_started(conversation_id, newest - 1) if newest else None
    if run is None:
        return event_id(conversation_id, START)
    return event_id(run.id, await unit.run_events.last_position(run.id))
