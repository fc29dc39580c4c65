"""Messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository, found
from retinue.db.repositories.money import cost_columns, cost_of
from retinue.domain.messages import Message, MessageStatus, ToolLogEntry
from retinue.domain.usage import Cost, Usage

_PLAIN = tuple(name for name in Message.__struct_fields__ if name not in {"cost", "metadata"})


class MessageRepository(TenantRepository):
    async def add(self, *messages: Message) -> None:
        """Store messages of one conversation.

        Raises:
            NotFound: the conversation is not there, or is another tenant's.
        """
        rows = [_columns(message) for message in messages]
        await self._add(t.Message, *rows, missing="There is no such conversation.")

    async def find(self, message_id: UUID) -> Message | None:
        row = await self._executor.row(self._select(t.Message).where(t.Message.id == message_id))
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
        statement = self._of(conversation_id).order_by(t.Message.position).limit(limit)
        if after is not None:
            statement = statement.where(t.Message.position > after)
        return [_message(row) for row in await self._executor.rows(statement)]

    async def history(self, conversation_id: UUID, *, before_position: int, max_messages: int) -> Sequence[Message]:
        """The newest ones before a position, oldest first."""
        statement = self._of(conversation_id).where(t.Message.position < before_position)
        newest = statement.order_by(t.Message.position.desc()).limit(max_messages)
        return [_message(row) for row in reversed(await self._executor.rows(newest))]

    async def finish(
        self,
        message_id: UUID,
        *,
        content: str,
        reasoning: str | None,
        status: MessageStatus,
        finish_reason: str | None,
        error_code: str | None,
        tool_log: tuple[ToolLogEntry, ...],
        usage: Usage | None,
        cost: Cost | None,
        metadata: dict[str, Any],
        at: datetime,
    ) -> bool:
        """Write the answer's final state, once; false and nothing written if it is not streaming any more."""
        statement = self._update(t.Message).where(
            t.Message.id == message_id, t.Message.status == MessageStatus.STREAMING
        )
        values = {
            "content": content,
            "reasoning": reasoning,
            "status": status,
            "finish_reason": finish_reason,
            "error_code": error_code,
            "tool_log": tool_log,
            "usage": usage,
            "details": metadata,
            "updated_at": at,
            **cost_columns(cost),
        }
        return await self._executor.change(statement, values) == 1

    def _of(self, conversation_id: UUID) -> sa.Select[Any]:
        return self._select(t.Message).where(t.Message.conversation_id == conversation_id)


def _columns(message: Message) -> dict[str, Any]:
    plain = {name: getattr(message, name) for name in _PLAIN}
    return {**plain, "details": message.metadata, **cost_columns(message.cost)}


def _message(row: sa.Row[Any]) -> Message:
    plain = {name: getattr(row, name) for name in _PLAIN}
    return Message(**plain, cost=cost_of(row), metadata=row.details)
