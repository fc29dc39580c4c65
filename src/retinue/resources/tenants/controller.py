"""`/tenants`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from retinue.domain.access import Scope
from retinue.domain.errors import Conflict
from retinue.domain.tenants import Tenant
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.resources.tenants.schemas import TenantCreate, TenantUpdate
from retinue.resources.tenants.service import TenantService


class TenantController(Controller):
    path = "/tenants"
    tags = ("tenants",)
    tenants: TenantService

    @post(problems={"slug_taken": Conflict}, replays=True, scope=Scope.OPERATE)
    async def create_tenant(
        self, request: EdgeRequest, data: JSONBody[TenantCreate], idempotency_key: KeyHeader = None
    ) -> Response[Tenant]:
        """Create a tenant."""
        return answer_with(await self.tenants.create(data, key_of(request, idempotency_key, data)))

    @get(scope=Scope.OPERATE)
    async def list_tenants(
        self, request: EdgeRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response[list[Tenant]]:
        """List tenants, oldest first."""
        return answer_page(request, await self.tenants.list(limit=limit, cursor=cursor))

    @get("/{tenant_id:uuid}", scope=Scope.TENANT_READ)
    async def read_tenant(self, tenant_id: FromPath[UUID]) -> Tenant:
        """Read a tenant."""
        return await self.tenants.get(tenant_id)

    @patch("/{tenant_id:uuid}", problems={"slug_taken": Conflict}, scope=Scope.TENANT_WRITE)
    async def update_tenant(
        self, request: EdgeRequest, tenant_id: FromPath[UUID], data: JSONBody[TenantUpdate]
    ) -> Tenant:
        """Change a tenant's name or slug.

        Only the operator changes slugs: they are unique among all tenants, and whether one is taken is nobody else's
        business.
        """
        if data.slug is not UNSET:
            request.principal.require(Scope.OPERATE)
        return await self.tenants.update(tenant_id, data)

    @delete("/{tenant_id:uuid}", scope=Scope.OPERATE)
    async def delete_tenant(self, tenant_id: FromPath[UUID]) -> None:
        """Delete a tenant with everything it owns.

        Its active runs are cancelled first. From the answer on it does not exist, and its slug is free; its data is
        removed within seconds, and the operator's audit trail then says `tenant.erased`.
        """
        await self.tenants.delete(tenant_id)
