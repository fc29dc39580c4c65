"""What can be done with approvals."""

from uuid import UUID

from retinue.db.session import Database
from retinue.domain.approvals import Approval, Decision
from retinue.domain.idempotency import IdempotencyKey
from retinue.http.idempotency import Once, Replay
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.resources.approvals.schemas import ShownApproval, shown
from retinue.runs.waiting.approvals import Approvals
from retinue.runs.waiting.tickets import Ticket
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy


class ApprovalService:
    def __init__(self, database: Database, tenancy: Tenancy, approvals: Approvals, once: Once) -> None:
        self._database = database
        self._tenancy = tenancy
        self._approvals = approvals
        self._once = once

    async def pending(
        self, principal: Principal, tenant_id: UUID, *, limit: int, cursor: str | None
    ) -> Page[ShownApproval]:
        """Those that exist for whoever asks. Raises: InvalidRequest, `invalid_cursor`."""
        found = await self._approvals.pending(
            tenant_id, limit=limit + 1, after=decode_cursor(cursor), sight=principal.sight
        )
        return page_of([shown(approval) for approval in found], limit, lambda approval: approval.approval_id)

    async def get(self, principal: Principal, approval_id: UUID) -> ShownApproval:
        """Raises: NotFound."""
        tenant_id = await self._tenancy.of_approval(principal, approval_id)
        return shown(await self._approvals.get(tenant_id, approval_id))

    async def decide(
        self,
        principal: Principal,
        approval_id: UUID,
        decision: Decision,
        *,
        comment: str | None,
        key: IdempotencyKey | None,
    ) -> ShownApproval | Replay:
        """Decide, and have the run go on.

        Raises:
            NotFound.
            Conflict: `approval_decided`, `approval_expired`, `approval_superseded`, `approval_once_only`,
                `approval_altered`.
            InvalidRequest: `idempotency_key_reused`.
        """
        tenant_id = await self._tenancy.of_approval(principal, approval_id)

        async def act(ticket: Ticket) -> Approval:
            return await self._approvals.decide(
                tenant_id, approval_id, decision, decided_by=principal.name, comment=comment, ticket=ticket
            )

        return await self._once.within(key, shown, act)
