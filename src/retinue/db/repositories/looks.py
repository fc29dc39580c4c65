"""Parts of statements that several repositories ask."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository
from retinue.db.repositories.conditions import has_started, is_at_work, is_queued


class Looks(TenantRepository):
    def _session_columns(self, conversation_id: UUID) -> list[sa.ColumnElement[Any]]:
        """What `session_of` needs to know, besides the conversation itself, which is asked for."""
        conversation: Any = t.Conversation
        return [
            conversation.session_ttl_seconds,
            conversation.last_message_at,
            conversation.reopened_at,
            self._last_end(conversation_id).label("ended_at"),
            self._is_busy(conversation_id).label("is_busy"),
            self._dialect.clock().label("now"),
        ]

    def _last_end(self, conversation_id: UUID) -> sa.ScalarSelect[Any]:
        """When the run ended that started last; the others of its conversation had ended before."""
        statement = self._select(t.Run, t.Run.finished_at).where(
            t.Run.conversation_id == conversation_id, t.Run.ordinal.is_not(None)
        )
        return statement.order_by(t.Run.ordinal.desc()).limit(1).scalar_subquery()

    def _is_busy(self, conversation_id: UUID) -> sa.ColumnElement[bool]:
        run = self._select(t.Run, t.Run.id).where(t.Run.conversation_id == conversation_id)
        # Apart, because each of the two has an index.
        return run.where(has_started()).exists() | run.where(is_queued()).exists()

    def _runs_at_work(self, key_id: UUID | None, user_id: str | None) -> sa.Select[Any]:
        """The tenant's, the key's and the user's; see `LimitsRepository.count_runs`."""
        count = sa.func.count
        return self._select(
            t.Run,
            count().label("tenant"),
            count().filter(t.Run.key_id == key_id).label("key"),
            count().filter(t.Run.user_id == user_id).label("user"),
        ).where(is_at_work())
