"""`/tenants/{tenant_id}/origins`."""

from uuid import UUID

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from retinue.domain.access import Scope
from retinue.resources.tenants.origins.schemas import Origins, OriginsPut
from retinue.resources.tenants.origins.service import OriginService


class OriginController(Controller):
    path = "/tenants/{tenant_id:uuid}/origins"
    tags = ("access",)
    origins: OriginService

    @get(scope=Scope.KEYS_READ)
    async def read_origins(self, tenant_id: FromPath[UUID]) -> Origins:
        """Read which pages may use this tenant's credentials from a browser."""
        return await self.origins.get(tenant_id)

    @put(scope=Scope.KEYS_WRITE)
    async def put_origins(self, tenant_id: FromPath[UUID], data: JSONBody[OriginsPut]) -> Origins:
        """Say which pages may, by their exact origins. Counts on every replica within five seconds."""
        return await self.origins.put(tenant_id, data)
