"""What a tenant says that it pays for models."""

from collections.abc import Sequence

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.repositories.base import TenantRepository
from retinue.domain.prices import ModelPrice


class PriceRepository(TenantRepository):
    async def list(self) -> Sequence[ModelPrice]:
        """In the order in which they were given."""
        row = await self._executor.row(self._select(t.TenantPrices))
        return () if row is None else row.prices

    async def replace(self, prices: Sequence[ModelPrice]) -> Sequence[ModelPrice]:
        """Returns those that were there before.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._lock_tenant()
        before = await self.list()

        def or_replace(insert: Insert) -> Insert:
            return insert.on_conflict_do_update(
                index_elements=["tenant_id"], set_={"prices": insert.excluded["prices"]}
            )

        await self._add(t.TenantPrices, {"prices": tuple(prices)}, refine=or_replace)
        return before
