"""Messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository, found, has_changed
from retinue.db.repositories.conditions import is_from_user
from retinue.db.repositories.money import cost_columns, cost_of
from retinue.db.scripts import Script
from retinue.domain.errors import NotFound
from retinue.domain.ids import now
from retinue.domain.messages import Message, MessageStatus, Role, ToolLogEntry, Utterance
from retinue.domain.usage import Cost, Usage

_UNFINISHED = (MessageStatus.STREAMING, MessageStatus.WAITING)
_PLAIN = tuple(name for name in Message.__struct_fields__ if name not in {"cost", "metadata"})


class AnswerEnd(TypedDict):
    content: str
    reasoning: str | None
    status: MessageStatus
    finish_reason: str | None
    error_code: str | None
    tool_log: tuple[ToolLogEntry, ...]
    usage: Usage | None
    cost: Cost | None
    metadata: dict[str, Any]
    at: datetime


class MessageRepository(TenantRepository):
    async def add(self, *messages: Message) -> None:
        """Store messages of one conversation.

        Raises:
            NotFound: the conversation is not there, or is another tenant's.
        """
        rows = [_columns(message) for message in messages]
        await self._add(t.Message, *rows, missing="There is no such conversation.")

    def adding(self, *messages: Message) -> Change[None]:
        """The same, for `Unit.together`."""
        return self._storing(self._inserted(table=t.Message), *map(_columns, messages))

    async def find(self, message_id: UUID) -> Message | None:
        row = await self._executor.row(self._with_id(message_id))
        return None if row is None else _message(row)

    async def get(self, message_id: UUID) -> Message:
        """Raises: NotFound."""
        return found(await self.find(message_id), "message")

    async def find_position(self, conversation_id: UUID, message_id: UUID) -> int | None:
        """The message's place in this conversation; None if it is not in it."""
        statement = self._select(t.Message, t.Message.position)
        is_wanted = (t.Message.conversation_id == conversation_id) & (t.Message.id == message_id)
        position: int | None = await self._executor.scalar(statement.where(is_wanted))
        return position

    async def list(self, conversation_id: UUID, *, limit: int, after: int | None = None) -> Sequence[Message]:
        """Oldest first, those after a position."""
        statement = self._after(conversation_id, -1 if after is None else after, limit)
        return [_message(row) for row in await self._executor.rows(statement)]

    async def newest(self, conversation_id: UUID, *, limit: int) -> Sequence[Message]:
        """The last ones, oldest first."""
        statement = self._of(conversation_id).order_by(t.Message.position.desc()).limit(limit)
        return [_message(row) for row in reversed(await self._executor.rows(statement))]

    async def history(self, conversation_id: UUID, *, before_position: int, max_messages: int) -> Sequence[Utterance]:
        """The newest ones before a position, oldest first, without those that wait for their run, those of users that
        were withdrawn, and empty answers.
        """
        return await self._executor.perform(self.recalling(conversation_id, before_position, max_messages))

    def recalling(self, conversation_id: UUID, before_position: int, max_messages: int) -> Script[Sequence[Utterance]]:
        """The same."""
        newest = yield self._before(conversation_id, before_position, max_messages)
        return [Utterance(*row) for row in reversed(newest)]

    async def appended(self, run_id: UUID) -> Sequence[Message]:
        """What users appended to the run and it has not taken yet, in order."""
        return [_message(row) for row in await self._executor.rows(self._appended(run_id))]

    async def change_status(self, message_id: UUID, *, to: MessageStatus, from_: MessageStatus) -> bool:
        """False, and nothing is written, if the message's status is another one."""
        statement = self._update(t.Message).where(t.Message.id == message_id, t.Message.status == from_)
        return await self._executor.change(statement, {"status": to, "updated_at": now()}) == 1

    async def withdraw(self, *message_ids: UUID) -> None:
        """Cancel those of the messages that are pending."""
        statement = self._update(t.Message).where(
            t.Message.id.in_(message_ids), t.Message.status == MessageStatus.PENDING
        )
        await self._executor.change(statement, {"status": MessageStatus.CANCELLED, "updated_at": now()})

    async def take(self, message_id: UUID, answer_id: UUID) -> bool:
        """Let a run take a message that was appended to it: it becomes `completed` and the answer follows it.

        The message moves to the answer's position. The answer, and whatever lies between the two, which belongs to
        later turns, moves on by one, and with it the positions of the runs there. So positions stay dense, everybody
        else's order stays, and messages behind the appended one are not touched.

        False, and nothing is changed, if the message does not wait any more.

        Raises:
            NotFound: there is no such answer in the message's conversation.
        """
        places = self._select(t.Message).where(t.Message.id.in_((message_id, answer_id))).order_by(t.Message.id)
        rows = {row.id: row for row in await self._executor.rows(places.with_for_update(key_share=True))}
        message, answer = rows.get(message_id), rows.get(answer_id)
        if message is None or message.status is not MessageStatus.PENDING:
            return False
        if answer is None or answer.conversation_id != message.conversation_id:
            raise NotFound("There is no such answer.")
        if answer.position < message.position:
            await self._rotate(message.conversation_id, answer.position, message.position)
        return await self.change_status(message_id, to=MessageStatus.COMPLETED, from_=MessageStatus.PENDING)

    async def _rotate(self, conversation_id: UUID, first: int, last: int) -> None:
        """Move the message at `last` to `first`, and what lies from there on by one."""
        if first + 1 < last:
            # Whoever changes several queued runs and their messages holds this lock, too.
            conversation = self._select(t.Conversation, t.Conversation.id).where(t.Conversation.id == conversation_id)
            await self._executor.row(conversation.with_for_update(key_share=True))
            runs = self._update(t.Run).where(
                t.Run.conversation_id == conversation_id, t.Run.position > first, t.Run.position < last
            )
            await self._executor.change(runs.values(position=t.Run.position + 1))
        # Uniqueness is checked row by row: new places are taken up as negative numbers, where nobody is in the way.
        place = t.Message.position
        moved = self._update(t.Message).where(t.Message.conversation_id == conversation_id)
        new_place = sa.case((place == last, first), else_=place + 1)
        await self._executor.change(moved.where(place.between(first, last)).values(position=-new_place))
        await self._executor.change(moved.where(place < 0).values(position=-place))

    async def finish(self, message_id: UUID, **end: Unpack[AnswerEnd]) -> bool:
        """Write the answer's final state, once; false and nothing written if it neither streams nor waits any more."""
        return await self._executor.carry_out(self.finishing(message_id, **end))

    def finishing(self, message_id: UUID, **end: Unpack[AnswerEnd]) -> Change[bool]:
        """The same, for `Unit.together`."""
        values = {
            "content": end["content"],
            "reasoning": end["reasoning"],
            "status": end["status"],
            "finish_reason": end["finish_reason"],
            "error_code": end["error_code"],
            "tool_log": end["tool_log"],
            "usage": end["usage"],
            "details": end["metadata"],
            "updated_at": end["at"],
            **cost_columns(end["cost"]),
        }
        return Change(self._changed(message_id, from_=_UNFINISHED).setting(values), has_changed)

    async def pause(
        self,
        message_id: UUID,
        *,
        content: str,
        reasoning: str | None,
        tool_log: tuple[ToolLogEntry, ...],
        usage: Usage | None,
        cost: Cost | None,
        metadata: dict[str, Any],
        at: datetime,
    ) -> bool:
        """Write the answer so far while its run waits; false and nothing written if it is not streaming."""
        statement = self._update(t.Message).where(
            t.Message.id == message_id, t.Message.status == MessageStatus.STREAMING
        )
        values = {
            "content": content,
            "reasoning": reasoning,
            "status": MessageStatus.WAITING,
            "tool_log": tool_log,
            "usage": usage,
            "details": metadata,
            "updated_at": at,
            **cost_columns(cost),
        }
        return await self._executor.change(statement, values) == 1

    async def count_recent(self, conversation_id: UUID, seconds: float) -> tuple[int, float]:
        """How many messages users sent within so many seconds, those that were withdrawn included, and how many seconds
        ago the oldest of them came; all by the database's clock.
        """
        columns = (
            sa.func.count().label("sent"),
            sa.func.min(t.Message.created_at).label("oldest"),
            self._dialect.clock().label("now"),
        )
        statement = self._select(t.Message, *columns).where(
            t.Message.conversation_id == conversation_id,
            is_from_user(),
            t.Message.created_at > self._dialect.search_clock_after(-seconds),
        )
        row = (await self._executor.rows(statement))[0]
        return row.sent, 0.0 if row.oldest is None else (row.now - row.oldest).total_seconds()

    @prepared
    def _with_id(self, message_id: UUID) -> sa.Select[Any]:
        return self._select(t.Message).where(t.Message.id == message_id)

    @prepared
    def _appended(self, run_id: UUID) -> sa.Select[Any]:
        statement = self._select(t.Message).where(
            t.Message.run_id == run_id, t.Message.status == MessageStatus.PENDING, t.Message.role == Role.USER
        )
        return statement.order_by(t.Message.position)

    @prepared
    def _after(self, conversation_id: UUID, position: int, limit: int) -> sa.Select[Any]:
        statement = self._of(conversation_id).where(t.Message.position > position)
        return statement.order_by(t.Message.position).limit(limit)

    @prepared
    def _before(self, conversation_id: UUID, position: int, limit: int) -> sa.Select[Any]:
        is_withdrawn = (t.Message.role == Role.USER) & (t.Message.status == MessageStatus.CANCELLED)
        said = (t.Message.role, t.Message.content, t.Message.reasoning)
        statement = self._select(t.Message, *said).where(
            t.Message.conversation_id == conversation_id,
            t.Message.position < position,
            t.Message.status != MessageStatus.PENDING,
            t.Message.content != "",
            ~is_withdrawn,
        )
        return statement.order_by(t.Message.position.desc()).limit(limit)

    @prepared
    def _changed(self, message_id: UUID, *, from_: tuple[MessageStatus, ...]) -> sa.Update:
        return self._update(t.Message).where(t.Message.id == message_id, t.Message.status.in_(from_))

    def _of(self, conversation_id: UUID) -> sa.Select[Any]:
        return self._select(t.Message).where(t.Message.conversation_id == conversation_id)


def _columns(message: Message) -> dict[str, Any]:
    plain = {name: getattr(message, name) for name in _PLAIN}
    return {**plain, "details": message.metadata, **cost_columns(message.cost)}


def _message(row: sa.Row[Any]) -> Message:
    plain = {name: getattr(row, name) for name in _PLAIN}
    return Message(**plain, cost=cost_of(row), metadata=row.details)
