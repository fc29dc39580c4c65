"""`/tenants/{tenant_id}/prices`."""

from uuid import UUID

from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from retinue.domain.access import Scope
from retinue.domain.errors import Forbidden
from retinue.http.requests import EdgeRequest
from retinue.resources.tenants.prices.schemas import PricesPut, TenantPrices
from retinue.resources.tenants.prices.service import PriceService


class PriceController(Controller):
    path = "/tenants/{tenant_id:uuid}/prices"
    tags = ("tenants",)
    prices: PriceService

    @get(scope=Scope.PRICES_READ)
    async def read_prices(self, request: EdgeRequest, tenant_id: FromPath[UUID]) -> TenantPrices:
        """Read what a tenant says that it pays for models."""
        return await self.prices.get(request.principal, tenant_id)

    @put(problems={"prices_bind_operator_budget": Forbidden}, scope=Scope.PRICES_WRITE)
    async def put_prices(
        self, request: EdgeRequest, tenant_id: FromPath[UUID], data: JSONBody[PricesPut]
    ) -> TenantPrices:
        """Say what a tenant pays for models. These prices come before those of the public lists.

        The list replaces the one before; runs that have begun keep theirs. While the operator has set a budget for the
        tenant, only the operator can do this.
        """
        return await self.prices.put(request.principal, tenant_id, data)
