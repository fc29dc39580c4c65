"""Approvals, and what was granted for the rest of a conversation."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository, found
from retinue.db.repositories.conditions import is_pending
from retinue.db.repositories.json_text import read_json
from retinue.domain.access import WHOLE, Sight
from retinue.domain.approvals import Approval, ApprovalStatus, Decision, Grant
from retinue.domain.encoding import encode_text

_PLAIN = tuple(name for name in Approval.__struct_fields__ if name != "args")
_GRANT_FIELDS = Grant.__struct_fields__


class ApprovalRepository(TenantRepository):
    """Every change is a compare-and-set: it says whether, or for which approvals, it took place."""

    async def add(self, approval: Approval) -> None:
        """Raises: NotFound, if the run is not there any more."""
        plain = {name: getattr(approval, name) for name in _PLAIN}
        await self._add(t.Approval, {**plain, "args": encode_text(approval.args)}, missing="There is no such run.")

    async def find(self, approval_id: UUID) -> Approval | None:
        return await self._one(self._by_id(approval_id))

    async def get(self, approval_id: UUID) -> Approval:
        """Raises: NotFound."""
        return found(await self.find(approval_id), "approval")

    async def get_for_update(self, approval_id: UUID) -> Approval:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        statement = self._by_id(approval_id).with_for_update(key_share=True)
        return found(await self._one(statement), "approval")

    async def lock(self, run_id: UUID) -> bool:
        """Let nobody decide about the run's calls until this transaction ends. False if nobody was ever asked."""
        return bool(await self._executor.rows(self._locked(run_id)))

    async def try_lock(self, run_id: UUID) -> bool:
        """As `lock`, for whoever must not wait; false if somebody else is just writing."""
        of_run = self._select(t.Approval, t.Approval.id).where(t.Approval.run_id == run_id)
        locked = await self._executor.rows(of_run.with_for_update(key_share=True, skip_locked=True))
        return len(locked) == len(await self._executor.rows(of_run))

    async def list_pending(self, *, limit: int, after: UUID | None = None, sight: Sight = WHOLE) -> Sequence[Approval]:
        """What can still be decided, by the database's clock, in conversations that are in sight: oldest first, those
        after the one with the id `after`, which itself need not exist any more.
        """
        statement = self._select(t.Approval).where(
            is_pending(), t.Approval.expires_at > self._dialect.search_clock_after(0.0)
        )
        if after is not None:
            statement = statement.where(t.Approval.id > after)
        if not sight.is_whole:
            statement = statement.where(t.Approval.conversation_id.in_(self._in_sight(sight)))
        return await self._all(statement.order_by(t.Approval.id).limit(limit))

    def _in_sight(self, sight: Sight) -> sa.Select[Any]:
        seen = self._select(t.Conversation, t.Conversation.id)
        for column, wanted in (
            (t.Conversation.user_id, sight.user_id),
            (t.Conversation.employee_id, sight.employee_id),
            (t.Conversation.id, sight.conversation_id),
        ):
            if wanted is not None:
                seen = seen.where(column == wanted)
        return seen

    async def of_run(self, run_id: UUID) -> Sequence[Approval]:
        """All that were ever asked for, in the order of the calls."""
        statement = self._select(t.Approval).where(t.Approval.run_id == run_id)
        return await self._all(statement.order_by(t.Approval.call_position, t.Approval.id))

    async def decide(
        self,
        approval_id: UUID,
        *,
        status: ApprovalStatus,
        decision: Decision,
        decided_by: str,
        comment: str | None,
    ) -> Approval | None:
        """Write down the first decision that comes in time, by the database's clock, and return the approval as it then
        is; None, and nothing is written, if there was one before or it comes too late.
        """
        statement = self._pending().where(t.Approval.id == approval_id, t.Approval.expires_at > self._dialect.clock())
        decided = statement.values(
            status=status,
            decision=decision,
            decided_by=decided_by,
            comment=comment,
            decided_at=self._dialect.clock(),
        )
        return await self._one(decided.returning(t.Approval))

    async def is_late(self, approval_id: UUID) -> bool:
        """Whether nobody has decided it in time, by the database's clock, and nobody has written that down yet."""
        statement = self._select(t.Approval, t.Approval.id).where(
            t.Approval.id == approval_id, is_pending(), t.Approval.expires_at <= self._dialect.clock()
        )
        return await self._executor.scalar(statement) is not None

    async def expire(self, run_id: UUID) -> Sequence[Approval]:
        """Close those of the run that nobody decided in time, by the database's clock; they come back in the order of
        the calls.
        """
        late = self._pending().where(t.Approval.run_id == run_id, t.Approval.expires_at <= self._dialect.clock())
        values = {"status": ApprovalStatus.EXPIRED, "decided_at": self._dialect.clock()}
        rows = await self._executor.rows(late.values(values).returning(t.Approval))
        return sorted(map(_approval, rows), key=lambda approval: (approval.call_position, approval.id))

    async def supersede(self, run_id: UUID, *, but: Collection[UUID] = ()) -> None:
        """The run went another way: nothing of it is asked any more, except for what `but` names, and no password is
        waited for.
        """
        of_run = (t.Approval.run_id == run_id) & t.Approval.id.not_in(but)
        await self._executor.change(self._pending().where(of_run), _superseded())
        awaited = self._update(t.Approval).where(of_run, t.Approval.password_expires_at.is_not(None))
        await self._executor.change(awaited, {"password_expires_at": None})

    async def supersede_one(self, approval_id: UUID) -> bool:
        """False if it is not pending any more."""
        return await self._executor.change(self._pending().where(t.Approval.id == approval_id), _superseded()) == 1

    async def move_pause(self, run_id: UUID, *, attempt: int, seq: int) -> None:
        """Write down where the run has paused for those of its approvals that are pending or wait for a password."""
        is_open = is_pending() | t.Approval.password_expires_at.is_not(None)
        statement = self._update(t.Approval).where(t.Approval.run_id == run_id, is_open)
        await self._executor.change(statement, {"paused_attempt": attempt, "paused_seq": seq})

    async def await_password(self, approval_id: UUID, *, expires_at: datetime, tries: int) -> bool:
        """Wait for a password for a call that was allowed. `tries` counts those that were wrong.

        False, and nothing is written, if the call was not allowed.
        """
        statement = self._update(t.Approval).where(
            t.Approval.id == approval_id, t.Approval.status == ApprovalStatus.GRANTED
        )
        values = {"password_expires_at": expires_at, "password_tries": tries}
        return await self._executor.change(statement, values) == 1

    async def end_password(self, approval_id: UUID) -> bool:
        """Wait no longer; of several who give a password at once one is told so. False if none is waited for, or it
        comes too late by the database's clock.
        """
        statement = self._update(t.Approval).where(
            t.Approval.id == approval_id, t.Approval.password_expires_at > self._dialect.clock()
        )
        return await self._executor.change(statement, {"password_expires_at": None}) == 1

    @prepared
    def _locked(self, run_id: UUID) -> sa.Select[Any]:
        statement = self._select(t.Approval, t.Approval.id).where(t.Approval.run_id == run_id)
        return statement.order_by(t.Approval.id).with_for_update(key_share=True)

    def _by_id(self, approval_id: UUID) -> sa.Select[Any]:
        return self._select(t.Approval).where(t.Approval.id == approval_id)

    def _pending(self) -> sa.Update:
        return self._update(t.Approval).where(is_pending())

    async def _one(self, statement: sa.Executable) -> Approval | None:
        """The approval that a statement finds or returns, if there is one."""
        row = await self._executor.row(statement)
        return None if row is None else _approval(row)

    async def _all(self, statement: sa.Select[Any]) -> Sequence[Approval]:
        return [_approval(row) for row in await self._executor.rows(statement)]


class GrantRepository(TenantRepository):
    async def add(self, grant: Grant) -> None:
        """Raises: NotFound, if the conversation is not there any more."""
        columns = {name: getattr(grant, name) for name in _GRANT_FIELDS}
        await self._add(t.ConversationGrant, columns, missing="There is no such conversation.")

    async def list(self, conversation_id: UUID) -> Sequence[Grant]:
        """Oldest first."""
        grant = t.ConversationGrant
        statement = self._select(grant).where(grant.conversation_id == conversation_id).order_by(grant.id)
        rows = await self._executor.rows(statement)
        return [Grant(**{name: getattr(row, name) for name in _GRANT_FIELDS}) for row in rows]


def _superseded() -> dict[str, Any]:
    return {"status": ApprovalStatus.SUPERSEDED}


def _approval(row: sa.Row[Any]) -> Approval:
    return Approval(**{name: getattr(row, name) for name in _PLAIN}, args=read_json(row.args))
