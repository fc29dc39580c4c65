"""Conversations."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change, Outcome
from retinue.db.prepared import Asked, Row, prepared
from retinue.db.repositories.base import found
from retinue.db.repositories.looks import Looks
from retinue.db.types import Instant
from retinue.domain.conversations import Conversation, ConversationStatus

_FIELDS = Conversation.__struct_fields__
_TICK = timedelta(milliseconds=1)
"""Of the slowest clock of a database."""


class Place(NamedTuple):
    """Where new messages stand in their conversation."""

    position: int
    """Of the first; counts from 1."""
    at: datetime
    """When, by the database's clock: sessions and rates are measured by it on every replica."""


class Session(NamedTuple):
    """Whether something goes on in a conversation."""

    is_busy: bool
    """A run is active or queued."""
    has_expired: bool
    """The conversation has to be reopened: for longer than its TTL, by the database's clock, nobody wrote, no run ended
    and it was not reopened. Never before its first message, nor while a run is active. With a TTL of 0 a conversation
    that was reopened is open for one message, however long that takes.
    """
    now: datetime
    """By the database's clock."""


class ConversationRepository(Looks):
    async def add(self, conversation: Conversation) -> None:
        """Store a new conversation.

        Raises:
            Conflict: code `external_id_taken`.
            NotFound: the employee is not there, or is another tenant's.
        """
        columns = {name: getattr(conversation, name) for name in _FIELDS}
        await self._add(t.Conversation, columns, missing="There is no such employee.")

    async def find(self, conversation_id: UUID) -> Conversation | None:
        return await self._one(self._with_id(conversation_id))

    async def get(self, conversation_id: UUID) -> Conversation:
        """Raises: NotFound."""
        return found(await self.find(conversation_id), "conversation")

    async def get_for_update(self, conversation_id: UUID) -> Conversation:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        return conversation_of(found(await self._executor.row(self._locked(conversation_id)), "conversation"))

    async def find_by_external_id(self, external_id: str) -> Conversation | None:
        return await self._one(self._select(t.Conversation).where(t.Conversation.external_id == external_id))

    async def list(
        self,
        *,
        limit: int,
        after: UUID | None = None,
        employee_id: UUID | None = None,
        user_id: str | None = None,
        status: ConversationStatus | None = None,
        external_id: str | None = None,
        only: UUID | None = None,
    ) -> Sequence[Conversation]:
        """Newest first, those that are older than the one with the id `after`, which need not exist any more. With
        `only` it is that one at most.
        """
        statement = self._select(t.Conversation).order_by(t.Conversation.id.desc()).limit(limit)
        if after is not None:
            statement = statement.where(t.Conversation.id < after)
        for column, wanted in (
            (t.Conversation.employee_id, employee_id),
            (t.Conversation.user_id, user_id),
            (t.Conversation.status, status),
            (t.Conversation.external_id, external_id),
            (t.Conversation.id, only),
        ):
            if wanted is not None:
                statement = statement.where(column == wanted)
        return [conversation_of(row) for row in await self._executor.rows(statement)]

    async def update(self, conversation: Conversation) -> None:
        """Write title, external id, status, session TTL and `updated_at`; the rest belongs to `advance` and `reopen` or
        never changes.

        Raises:
            Conflict: code `external_id_taken`.
            NotFound: the conversation is not there any more.
        """
        statement = self._update(t.Conversation).where(t.Conversation.id == conversation.id)
        changed = await self._executor.change(
            statement.values(
                title=conversation.title,
                external_id=conversation.external_id,
                status=conversation.status,
                session_ttl_seconds=conversation.session_ttl_seconds,
                updated_at=conversation.updated_at,
            )
        )
        found(changed or None, "conversation")

    async def delete(self, conversation_id: UUID) -> None:
        """Remove it with its messages, runs, run events, tool calls, approvals and grants. The ledger and the audit
        trail stay.

        Raises:
            NotFound: it is not there, or not any more.
        """
        statement = self._delete(t.Conversation).where(t.Conversation.id == conversation_id)
        found(await self._executor.change(statement) or None, "conversation")

    async def advance(self, conversation_id: UUID, count: int, *, at: datetime | None = None) -> Place:
        """Reserve the next positions. No two callers get the same: the row stays locked until the transaction ends.

        Raises:
            NotFound: the conversation is not there any more.
        """
        row = found(await self._executor.row(self._advanced(conversation_id, count, at)), "conversation")
        return Place(row.message_count - count + 1, row.last_message_at)

    def advancing(self, conversation_id: UUID, count: int, *, at: datetime) -> Change[None]:
        """The same for `Unit.together`, by somebody who has the lock, and so knows the positions."""

        def tell(outcome: Outcome) -> None:
            found(outcome.touched or None, "conversation")

        return Change(self._moved(conversation_id, count, at), tell)

    async def session(self, conversation_id: UUID, default_ttl_seconds: float) -> Session:
        """Raises: NotFound."""
        row = found(await self._executor.row(self._looked_at(conversation_id)), "conversation")
        return session_of(row, default_ttl_seconds)

    async def reopen(self, conversation_id: UUID) -> None:
        """Make it active, and let its session begin anew.

        Raises:
            NotFound.
        """
        statement = self._update(t.Conversation).where(t.Conversation.id == conversation_id)
        reopened = statement.values(status=ConversationStatus.ACTIVE, reopened_at=self._dialect.clock())
        columns = (t.Conversation.reopened_at, t.Conversation.last_message_at)
        row = found(await self._executor.row(reopened.returning(*columns)), "conversation")
        if row.last_message_at is not None and row.reopened_at <= row.last_message_at:
            # It was faster than the clock: whatever was said before is to be before it.
            await self._executor.change(statement.values(reopened_at=row.last_message_at + _TICK))

    @prepared
    def _with_id(self, conversation_id: UUID) -> sa.Select[Any]:
        return self._select(t.Conversation).where(t.Conversation.id == conversation_id)

    @prepared
    def _locked(self, conversation_id: UUID) -> sa.Select[Any]:
        return self._select(t.Conversation).where(t.Conversation.id == conversation_id).with_for_update(key_share=True)

    @prepared
    def _advanced(self, conversation_id: UUID, count: int, at: datetime | None) -> Any:
        moment = sa.func.coalesce(sa.type_coerce(at, Instant()), self._dialect.clock(), type_=Instant())
        columns = (t.Conversation.message_count, t.Conversation.last_message_at)
        return self._grown(conversation_id, count, moment).returning(*columns)

    @prepared
    def _moved(self, conversation_id: UUID, count: int, at: datetime) -> sa.Update:
        return self._grown(conversation_id, count, sa.type_coerce(at, Instant()))

    def _grown(self, conversation_id: UUID, count: int, at: sa.ColumnElement[datetime]) -> sa.Update:
        statement = self._update(t.Conversation).where(t.Conversation.id == conversation_id)
        counted = t.Conversation.message_count + count
        return statement.values(message_count=counted, last_message_at=at, updated_at=at)

    @prepared
    def _looked_at(self, conversation_id: UUID) -> sa.Select[Any]:
        statement = self._select(t.Conversation, *self._session_columns(conversation_id))
        return statement.where(t.Conversation.id == conversation_id)

    async def _one(self, statement: sa.Select[Any] | Asked) -> Conversation | None:
        row = await self._executor.row(statement)
        return None if row is None else conversation_of(row)


def session_of(row: Row, default_ttl_seconds: float) -> Session:
    """From a row with the columns that a session takes."""
    if row.last_message_at is None or row.is_busy:
        return Session(is_busy=bool(row.is_busy), has_expired=False, now=row.now)
    moments = (row.last_message_at, row.reopened_at, row.ended_at)
    last: datetime = max(moment for moment in moments if moment is not None)
    ttl = default_ttl_seconds if row.session_ttl_seconds is None else row.session_ttl_seconds
    was_just_reopened = last == row.reopened_at and last > row.last_message_at
    is_open = was_just_reopened if ttl == 0 else (row.now - last).total_seconds() <= ttl
    return Session(is_busy=False, has_expired=not is_open, now=row.now)


def conversation_of(row: sa.Row[Any]) -> Conversation:
    return Conversation(**{name: getattr(row, name) for name in _FIELDS})
