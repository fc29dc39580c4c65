"""What has a waiting run go on."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from retinue.db.session import Database
from retinue.domain.approvals import Approval
from retinue.domain.errors import FieldError, InvalidRequest, NotFound
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import Position, event_id, parse_event_id
from retinue.domain.runs import Run
from retinue.domain.secret import Secret
from retinue.domain.tools import Resolution
from retinue.http.idempotency import Once, Replay
from retinue.http.sse import Feed
from retinue.resources.approvals.decisions import decision
from retinue.resources.runs.resuming.schemas import ContinueBody, EffectResolution
from retinue.runs.service import RunService
from retinue.runs.waiting.approvals import Approvals, pause_of
from retinue.runs.waiting.tickets import Ticket
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy

Place = tuple[UUID, Position]


class ResumingService:
    def __init__(
        self, *, database: Database, tenancy: Tenancy, runs: RunService, approvals: Approvals, once: Once
    ) -> None:
        self._database = database
        self._tenancy = tenancy
        self._runs = runs
        self._approvals = approvals
        self._once = once

    async def go_on(
        self, principal: Principal, run_id: UUID, body: ContinueBody, key: IdempotencyKey | None, place: Place | None
    ) -> Feed:
        """Decide, if the request says how, and follow what comes of it.

        Raises:
            NotFound: no such run, or no such approval in it.
            Conflict: `approval_pending`, or why the decision is not taken.
            InvalidRequest: `unknown_event_id`, `idempotency_key_reused`.
        """
        _require_decision(body)
        tenant_id = await self._tenancy.of_run(principal, run_id)
        approval = await self._approval_of(tenant_id, run_id, body.approval_id)

        async def decide(ticket: Ticket) -> Approval:
            return await self._approvals.decide(
                tenant_id,
                approval.id,
                decision(approved=body.approved is True),
                decided_by=principal.name,
                comment=body.comment or None,
                ticket=ticket,
            )

        async def look() -> str:
            await self._approvals.continue_run(tenant_id, run_id, approval.id)
            return _told(approval)

        async def act() -> str | Replay:
            if body.approved is UNSET:
                return await self._once.around(self._database, tenant_id, key, look)
            return await self._once.within(key, _told, decide)

        return await self._followed(approval, place, act)

    async def give_password(
        self,
        principal: Principal,
        run_id: UUID,
        approval_id: UUID,
        password: Secret,
        *,
        key: IdempotencyKey | None,
        place: Place | None,
    ) -> Feed:
        """Raises:
        NotFound: no such run, or no such approval in it.
        Conflict: `password_not_awaited`, `approval_expired`.
        InvalidRequest: `unknown_event_id`, `idempotency_key_reused`.
        Unavailable: this process takes nothing at the moment; the password is still awaited.
        """
        tenant_id = await self._tenancy.of_run(principal, run_id)
        approval = await self._approval_of(tenant_id, run_id, approval_id)

        async def give(ticket: Ticket) -> Approval:
            await self._approvals.give_password(tenant_id, run_id, approval.id, password, ticket=ticket)
            return approval

        async def act() -> str | Replay:
            return await self._once.within(key, _told, give)

        return await self._followed(approval, place, act)

    async def resolve(
        self, principal: Principal, run_id: UUID, body: EffectResolution, key: IdempotencyKey | None
    ) -> Run | Replay:
        """Raises:
        NotFound: no such run, or no such call in it.
        Conflict: `effect_known`, `run_ended`.
        InvalidRequest: a result without `happened`; `idempotency_key_reused`.
        """
        _refuse_result(body)
        tenant_id = await self._tenancy.of_run(principal, run_id)

        async def act(ticket: Ticket) -> Run:
            return await self._approvals.resolve_effect(
                tenant_id,
                run_id,
                body.tool_call_id,
                body.outcome,
                result=None if body.result is UNSET else body.result,
                resolved_by=principal.name,
                ticket=ticket,
            )

        return await self._once.within(key, lambda run: run, act)

    async def _approval_of(self, tenant_id: UUID, run_id: UUID, approval_id: UUID) -> Approval:
        approval = await self._approvals.get(tenant_id, approval_id)
        if approval.run_id != run_id:
            raise NotFound("The run has no such approval.")
        return approval

    async def _followed(
        self, approval: Approval, place: Place | None, act: Callable[[], Awaitable[str | Replay]]
    ) -> Feed:
        """Act once, and follow what comes after it.

        Who names an event that came after the pause has this behind it and only comes back to its stream. The pause
        itself is the last event of the stream before, which clients send along with whatever they ask next.
        """
        tenant_id, run_id = approval.tenant_id, approval.run_id
        if place is not None:
            if place[0] != run_id:
                raise InvalidRequest("The run has no such event.", code="unknown_event_id")
            await self._runs.place(tenant_id, run_id, place[1])
            if place[1] > pause_of(approval):
                return self._feed(tenant_id, run_id, place[1])
        done = await act()
        written: Any = msgspec.json.decode(done.answer) if isinstance(done, Replay) else done
        return self._feed(tenant_id, run_id, parse_event_id(written)[1])

    def _feed(self, tenant_id: UUID, run_id: UUID, after: Position) -> Feed:
        return Feed(
            follow=partial(self._runs.follow, tenant_id, run_id, after),
            run_id=run_id,
            may_be_silent=True,
            last_event_id=event_id(run_id, after),
        )


def _told(approval: Approval) -> str:
    """The event behind which everything stands that comes of a decision, or of a password."""
    return event_id(approval.run_id, pause_of(approval))


def _require_decision(body: ContinueBody) -> None:
    if body.approved is UNSET and body.comment is not UNSET:
        errors = (FieldError(pointer="/comment", detail="Needs a decision: send approved, too."),)
        raise InvalidRequest("A comment goes with a decision.", errors=errors)


def _refuse_result(body: EffectResolution) -> None:
    if body.result is not UNSET and body.outcome is not Resolution.HAPPENED:
        errors = (FieldError(pointer="/result", detail="Only what happened has a result."),)
        raise InvalidRequest("Only what happened has a result.", errors=errors)
