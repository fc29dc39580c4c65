"""Limits: read by the tenant, chosen by the operator."""

from collections.abc import Iterator
from uuid import UUID

from retinue.db.session import Database
from retinue.domain.ids import now
from retinue.domain.limits import NO_BOUNDS, PARTIES, Limits, StoredLimits
from retinue.http.schemas import changes
from retinue.resources.tenants.limits.schemas import LimitsPut, ShownLimits, shown
from retinue.runs.limiting.book import LimitsBook


class LimitsService:
    def __init__(self, database: Database, book: LimitsBook) -> None:
        self._database = database
        self._book = book

    async def get(self, tenant_id: UUID) -> ShownLimits:
        """Raises: NotFound."""
        async with self._database.operator(read_only=True) as operator:
            await operator.tenants.get(tenant_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            stored = await unit.limits.get()
        return shown(NO_BOUNDS if stored is None else stored.limits, self._book.defaults)

    async def put(self, tenant_id: UUID, body: LimitsPut) -> ShownLimits:
        """Replace them all. In force here at once, and everywhere within five seconds.

        Raises:
            NotFound: no such tenant.
        """
        limits = body.limits
        async with self._database.unit(tenant_id) as unit:
            stored = await unit.limits.get_for_update()
            await unit.limits.put(StoredLimits(limits=limits, updated_at=now()))
            if changed := list(_changed(NO_BOUNDS if stored is None else stored.limits, limits)):
                await unit.audit.record(
                    "limits.updated", object_type="limits", object_id=str(tenant_id), payload={"changed": changed}
                )
        self._book.forget(tenant_id)
        return shown(limits, self._book.defaults)


def _changed(before: Limits, after: Limits) -> Iterator[str]:
    for party in PARTIES:
        for name in changes(before.of(party), after.of(party)):
            yield f"{party}.{name}"
