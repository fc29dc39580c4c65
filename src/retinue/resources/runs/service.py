"""What the runs routes do."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from retinue.db.session import Database
from retinue.domain.conversations import ConversationStatus
from retinue.domain.errors import InvalidRequest
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position
from retinue.domain.runs import Run, RunStatus
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.http.sse import Feed
from retinue.runs.service import RunService
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy

Place = tuple[UUID, Position]
"""An event: its run, and where it stands in it."""


class RunAccess:
    """Runs as clients may see and stop them."""

    def __init__(self, *, database: Database, tenancy: Tenancy, runs: RunService) -> None:
        self._database = database
        self._tenancy = tenancy
        self._runs = runs

    async def get(self, principal: Principal, run_id: UUID) -> Run:
        """Raises: NotFound."""
        return await self._runs.get(await self._tenancy.of_run(principal, run_id), run_id)

    async def list(
        self, principal: Principal, conversation_id: UUID, *, status: RunStatus | None, limit: int, cursor: str | None
    ) -> Page[Run]:
        """Raises: NotFound; InvalidRequest, `invalid_cursor`."""
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        after = decode_cursor(cursor)
        runs = await self._runs.list(tenant_id, conversation_id, limit=limit + 1, after=after, status=status)
        return page_of(runs, limit, lambda run: run.id)

    async def cancel(self, principal: Principal, run_id: UUID) -> Run:
        """Raises: NotFound; Conflict, `run_ended`, if it ended in another way."""
        return await self._runs.cancel(await self._tenancy.of_run(principal, run_id), run_id)

    async def cancel_conversation(self, principal: Principal, conversation_id: UUID) -> Sequence[Run]:
        """Raises: NotFound."""
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        return await self._runs.cancel_conversation(tenant_id, conversation_id)

    async def events(
        self, principal: Principal, run_id: UUID, place: Place | None, *, limit: int
    ) -> Sequence[RecordedEvent]:
        """Stored events, at most `limit`.

        Raises:
            NotFound: no such run.
            InvalidRequest: `unknown_event_id`.
        """
        tenant_id = await self._tenancy.of_run(principal, run_id)
        position = _position_in(run_id, place)
        await self._runs.place(tenant_id, run_id, position)
        return await self._runs.read(tenant_id, run_id, position, limit)

    async def follow(self, principal: Principal, run_id: UUID, place: Place | None) -> Feed | None:
        """The run from its beginning or from after `place`; None if nothing will ever follow.

        Raises:
            NotFound: no such run.
            InvalidRequest: `unknown_event_id`.
        """
        tenant_id = await self._tenancy.of_run(principal, run_id)
        position = _position_in(run_id, place)
        if await self._runs.place(tenant_id, run_id, position):
            return None
        follow = partial(self._runs.follow, tenant_id, run_id, position)
        return Feed(follow=follow, run_id=run_id, may_be_silent=True)

    async def follow_conversation(
        self, principal: Principal, conversation_id: UUID, place: Place | None
    ) -> Feed | None:
        """All runs of a conversation, one after the other; None if it is closed and nothing will follow.

        Raises:
            NotFound: no such conversation, or no such run in it.
            InvalidRequest: `unknown_event_id`.
        """
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        if await self._is_over(tenant_id, conversation_id, place):
            return None
        # Before the response begins: nothing that happens after the client was told that it is connected is missed.
        start = await self._runs.conversation_place(tenant_id, conversation_id, place)
        return Feed(
            follow=partial(self._runs.follow_conversation, tenant_id, conversation_id, start),
            may_be_silent=True,
            last_event_id=start.last_event_id,
        )

    async def _is_over(self, tenant_id: UUID, conversation_id: UUID, place: Place | None) -> bool:
        has_told = place is None or await self._has_told(tenant_id, conversation_id, place)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            conversation = await unit.conversations.get(conversation_id)
            if not has_told or conversation.status is not ConversationStatus.CLOSED:
                return False
            # The queue first: a run that leaves it in between is active, or has started, when that is asked.
            if await unit.runs.queued(conversation_id) or await unit.runs.active(conversation_id):
                return False
            if place is None:
                return True
            if place == (conversation_id, START):
                return await unit.runs.next_started(conversation_id, 0) is None
            seen = await unit.runs.get(place[0])
            return seen.ordinal is None or await unit.runs.next_started(conversation_id, seen.ordinal) is None

    async def _has_told(self, tenant_id: UUID, conversation_id: UUID, place: Place) -> bool:
        """Whether nothing will follow the event in its own run."""
        if place == (conversation_id, START):
            return True
        run_id, position = place
        await self._runs.get_in(tenant_id, conversation_id, run_id)
        return await self._runs.place(tenant_id, run_id, position)


def _position_in(run_id: UUID, place: Place | None) -> Position:
    if place is None:
        return START
    if place[0] != run_id:
        raise InvalidRequest("The run has no such event.", code="unknown_event_id")
    return place[1]
