"""`/approvals`."""

from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from retinue.domain.access import Scope
from retinue.domain.approvals import Decision
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.resources.approvals.decisions import DECIDING, NOT_BOOLEAN, decision, read_decision
from retinue.resources.approvals.schemas import DecisionBody, DecisionComment, ShownApproval
from retinue.resources.approvals.service import ApprovalService


class ApprovalController(Controller):
    path = "/approvals"
    tags = ("approvals",)
    approvals: ApprovalService

    @get("/pending", scope=Scope.APPROVALS_READ)
    async def list_pending_approvals(
        self,
        request: EdgeRequest,
        tenant_id: FromQuery[UUID | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response[list[ShownApproval]]:
        """List what waits for a decision, oldest first.

        The operator has to name the tenant.
        """
        tenant = request.principal.tenant_for(tenant_id)
        return answer_page(request, await self.approvals.pending(request.principal, tenant, limit=limit, cursor=cursor))

    @get("/{approval_id:uuid}", scope=Scope.APPROVALS_READ)
    async def read_approval(self, request: EdgeRequest, approval_id: FromPath[UUID]) -> ShownApproval:
        """Read an approval, also one that was decided or has expired."""
        return await self.approvals.get(request.principal, approval_id)

    @post(
        "/{approval_id:uuid}/allow_once", status_code=200, problems=DECIDING, replays=True, scope=Scope.APPROVALS_DECIDE
    )
    async def allow_once(
        self,
        request: EdgeRequest,
        approval_id: FromPath[UUID],
        data: JSONBody[DecisionComment | None] = None,
        idempotency_key: KeyHeader = None,
    ) -> Response[ShownApproval]:
        """Allow exactly the call that was shown, this one time. The run goes on."""
        return await self._decide(request, approval_id, Decision.ALLOW_ONCE, data, idempotency_key)

    @post(
        "/{approval_id:uuid}/allow_for_conversation",
        status_code=200,
        problems=DECIDING,
        replays=True,
        scope=Scope.APPROVALS_DECIDE,
    )
    async def allow_for_conversation(
        self,
        request: EdgeRequest,
        approval_id: FromPath[UUID],
        data: JSONBody[DecisionComment | None] = None,
        idempotency_key: KeyHeader = None,
    ) -> Response[ShownApproval]:
        """Allow the call, and calls of the same tool for the rest of the conversation.

        Covers the same version of the tool, the same scope and no higher risk. A call of high risk is only ever allowed
        once: 409 `approval_once_only`.
        """
        return await self._decide(request, approval_id, Decision.ALLOW_FOR_CONVERSATION, data, idempotency_key)

    @post("/{approval_id:uuid}/deny", status_code=200, problems=DECIDING, replays=True, scope=Scope.APPROVALS_DECIDE)
    async def deny(
        self,
        request: EdgeRequest,
        approval_id: FromPath[UUID],
        data: JSONBody[DecisionComment | None] = None,
        idempotency_key: KeyHeader = None,
    ) -> Response[ShownApproval]:
        """Deny the call. The employee is told so, with the comment, and the run goes on without it."""
        return await self._decide(request, approval_id, Decision.DENY, data, idempotency_key)

    @post(
        "/{approval_id:uuid}/decision",
        status_code=200,
        problems=DECIDING | NOT_BOOLEAN,
        accepts=bool | DecisionBody,
        replays=True,
        scope=Scope.APPROVALS_DECIDE,
    )
    async def decide(
        self, request: EdgeRequest, approval_id: FromPath[UUID], idempotency_key: KeyHeader = None
    ) -> Response[ShownApproval]:
        """Allow the call once, or deny it, with a boolean.

        The body is `true`, `false` or an object with `approved`; an object without it denies. Anything else than a
        boolean decides nothing: 422 `decision_not_boolean`.
        """
        body = await read_decision(request)
        key = key_of(request, idempotency_key, body)
        chosen = decision(approved=body.approved)
        return answer_with(
            await self.approvals.decide(request.principal, approval_id, chosen, comment=body.comment, key=key)
        )

    async def _decide(
        self,
        request: EdgeRequest,
        approval_id: UUID,
        chosen: Decision,
        data: DecisionComment | None,
        idempotency_key: str | None,
    ) -> Response[ShownApproval]:
        said = data or DecisionComment()
        key = key_of(request, idempotency_key, said)
        return answer_with(
            await self.approvals.decide(request.principal, approval_id, chosen, comment=said.comment, key=key)
        )
