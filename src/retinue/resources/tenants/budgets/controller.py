"""`/tenants/{tenant_id}/budgets`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from retinue.domain.access import Scope
from retinue.domain.budgets import Budget
from retinue.domain.errors import Conflict, Forbidden
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.resources.tenants.budgets.schemas import BudgetCreate, BudgetUpdate
from retinue.resources.tenants.budgets.service import BudgetService

_OWNED = {"budget_set_by_operator": Forbidden}


class BudgetController(Controller):
    path = "/tenants/{tenant_id:uuid}/budgets"
    tags = ("tenants",)
    budgets: BudgetService

    @post(
        problems={"budget_exists": Conflict, "prices_set_by_tenant": Conflict},
        replays=True,
        scope=Scope.BUDGETS_WRITE,
    )
    async def create_budget(
        self,
        request: EdgeRequest,
        tenant_id: FromPath[UUID],
        data: JSONBody[BudgetCreate],
        idempotency_key: KeyHeader = None,
    ) -> Response[Budget]:
        """Bound what a tenant, an employee, a user or a key may spend on models in a day or a month.

        What has been spent in the present period counts from its beginning. All budgets that apply to a call bound it.
        One that the operator sets binds the tenant, whose credentials can neither change nor remove it, nor set prices
        as long as it is there; prices that the tenant has set before have to be set by the operator first.
        """
        key = key_of(request, idempotency_key, data)
        return answer_with(await self.budgets.create(request.principal, tenant_id, data, key))

    @get(scope=Scope.BUDGETS_READ)
    async def list_budgets(
        self, request: EdgeRequest, tenant_id: FromPath[UUID], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response[list[Budget]]:
        """List a tenant's budgets, oldest first, with what is spent and reserved in their present periods."""
        page = await self.budgets.list(request.principal, tenant_id, limit=limit, cursor=cursor)
        return answer_page(request, page)

    @get("/{budget_id:uuid}", scope=Scope.BUDGETS_READ)
    async def read_budget(self, request: EdgeRequest, tenant_id: FromPath[UUID], budget_id: FromPath[UUID]) -> Budget:
        """Read a budget with what is spent and reserved in its present period."""
        return await self.budgets.get(request.principal, tenant_id, budget_id)

    @patch("/{budget_id:uuid}", problems=_OWNED, scope=Scope.BUDGETS_WRITE)
    async def update_budget(
        self,
        request: EdgeRequest,
        tenant_id: FromPath[UUID],
        budget_id: FromPath[UUID],
        data: JSONBody[BudgetUpdate],
    ) -> Budget:
        """Change a budget. Calls that are being made keep what they have reserved."""
        return await self.budgets.update(request.principal, tenant_id, budget_id, data)

    @delete("/{budget_id:uuid}", problems=_OWNED, scope=Scope.BUDGETS_WRITE)
    async def delete_budget(self, request: EdgeRequest, tenant_id: FromPath[UUID], budget_id: FromPath[UUID]) -> None:
        """Remove a budget."""
        await self.budgets.delete(request.principal, tenant_id, budget_id)
