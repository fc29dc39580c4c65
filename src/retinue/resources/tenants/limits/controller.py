"""`/tenants/{tenant_id}/limits`."""

from uuid import UUID

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from retinue.domain.access import Scope
from retinue.resources.tenants.limits.schemas import LimitsPut, ShownLimits
from retinue.resources.tenants.limits.service import LimitsService


class LimitsController(Controller):
    path = "/tenants/{tenant_id:uuid}/limits"
    tags = ("tenants",)
    limits: LimitsService

    @get(scope=Scope.LIMITS_READ)
    async def read_limits(self, tenant_id: FromPath[UUID]) -> ShownLimits:
        """Read how much a tenant, each of its keys and each of its users may ask for."""
        return await self.limits.get(tenant_id)

    @put(scope=Scope.OPERATE)
    async def put_limits(self, tenant_id: FromPath[UUID], data: JSONBody[LimitsPut]) -> ShownLimits:
        """Choose that. Only the operator may; it counts on every replica within five seconds."""
        return await self.limits.put(tenant_id, data)
