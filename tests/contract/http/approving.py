"""Approvals that answer what a test tells them to, and remember what they were asked."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain.access import WHOLE, Sight
from retinue.domain.approvals import Approval, ApprovalStatus, Decision
from retinue.domain.errors import NotFound, RetinueError
from retinue.domain.ids import Position, new_id, now
from retinue.domain.runs import Run, RunStatus
from retinue.domain.secret import Secret
from retinue.domain.tools import Effect, Resolution, Risk
from retinue.runs.waiting.tickets import UNNAMED, Ticket

PAUSE = Position(1, 1)
"""Where runs have paused; `engine.events_of` tells what comes after it."""


def an_approval(run: Run, **fields: Any) -> Approval:
    return Approval(
        id=fields.pop("id", new_id()),
        tenant_id=run.tenant_id,
        run_id=run.id,
        conversation_id=run.conversation_id,
        employee_id=run.employee_id,
        call_position=fields.pop("call_position", 1),
        tool_call_id="call_1",
        tool="list_dir",
        tool_version="1",
        args=fields.pop("args", {"path": "/srv"}),
        digest="0" * 64,
        effect=fields.pop("effect", Effect.READ),
        risk=fields.pop("risk", Risk.LOW),
        scope="/srv",
        reason="It leaves the workspace.",
        message="Allow list_dir(path='/srv')?",
        requested_at=now(),
        expires_at=now() + timedelta(seconds=1800),
        paused_attempt=PAUSE.attempt,
        paused_seq=PAUSE.seq,
        **fields,
    )


class FakeApprovals:
    """The methods of `runs.approvals.Approvals`."""

    def __init__(self) -> None:
        self.database: Database
        """Where the tests keep what the engine would."""
        self.known: dict[UUID, Approval] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.passwords: list[str] = []
        self.refuses: RetinueError | None = None
        """What becomes of the next requests to change something."""

    def add(self, approval: Approval) -> Approval:
        self.known[approval.id] = approval
        return approval

    async def pending(
        self, tenant_id: UUID, *, limit: int, after: UUID | None = None, sight: Sight = WHOLE
    ) -> Sequence[Approval]:
        assert sight is WHOLE, "nobody here has a user's token"
        self.asked.append(("pending", tenant_id, limit, after))
        found = [each for each in self.known.values() if each.tenant_id == tenant_id]
        return [each for each in found if after is None or each.id > after][:limit]

    async def get(self, tenant_id: UUID, approval_id: UUID) -> Approval:
        approval = self.known.get(approval_id)
        if approval is None or approval.tenant_id != tenant_id:
            raise NotFound
        return approval

    async def decide(
        self,
        tenant_id: UUID,
        approval_id: UUID,
        decision: Decision,
        *,
        decided_by: str,
        comment: str | None = None,
        ticket: Ticket = UNNAMED,
    ) -> Approval:
        approval = await self.get(tenant_id, approval_id)
        async with self._acting(tenant_id, ticket) as made:
            self._act("decide", approval_id, decision, decided_by, comment)
            is_denied = decision is Decision.DENY
            decided = msgspec.structs.replace(
                approval,
                status=ApprovalStatus.DENIED if is_denied else ApprovalStatus.GRANTED,
                decision=decision,
                decided_by=decided_by,
                comment=comment,
                decided_at=now(),
            )
            made.append(decided)
        return self.add(decided)

    async def continue_run(self, tenant_id: UUID, run_id: UUID, approval_id: UUID) -> Position:
        await self.get(tenant_id, approval_id)
        self._act("continue", run_id, approval_id)
        return PAUSE

    async def give_password(
        self, tenant_id: UUID, run_id: UUID, approval_id: UUID, password: Secret, *, ticket: Ticket = UNNAMED
    ) -> Position:
        approval = await self.get(tenant_id, approval_id)
        async with self._acting(tenant_id, ticket) as made:
            self._act("password", run_id, approval_id)
            self.passwords.append(password.reveal())
            made.append(approval)
        return PAUSE

    async def resolve_effect(
        self,
        tenant_id: UUID,
        run_id: UUID,
        tool_call_id: str,
        resolution: Resolution,
        *,
        result: Any = None,
        resolved_by: str,
        ticket: Ticket = UNNAMED,
    ) -> Run:
        async with self._acting(tenant_id, ticket) as made:
            self._act("resolve", run_id, tool_call_id, resolution, result, resolved_by)
            made.append(a_waiting_run(next(iter(self.known.values())), tenant_id, run_id))
        run: Run = made[0]
        return run

    @asynccontextmanager
    async def _acting(self, tenant_id: UUID, ticket: Ticket) -> AsyncIterator[list[Any]]:
        """The unit in which the engine acts; it leaves what it has made."""
        made: list[Any] = []
        if ticket is UNNAMED:
            yield made
            return
        async with self.database.unit(tenant_id) as unit:
            await ticket.begin(unit)
            yield made
            await ticket.end(unit, made[0])

    def _act(self, *what: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.asked.append(what)


def a_waiting_run(approval: Approval, tenant_id: UUID, run_id: UUID) -> Run:
    return Run(
        id=run_id,
        tenant_id=tenant_id,
        conversation_id=approval.conversation_id,
        employee_id=approval.employee_id,
        user_message_id=new_id(),
        message_id=new_id(),
        status=RunStatus.RUNNING,
        attempt=1,
        position=1,
        created_at=now(),
    )
