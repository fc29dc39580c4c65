"""What can be done with tenants."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id, now
from retinue.domain.tenants import Tenant
from retinue.http.idempotency import Once, Replay
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.http.schemas import changes, given
from retinue.resources.tenants.schemas import TenantCreate, TenantUpdate

CancelTenant = Callable[[UUID], Awaitable[None]]
"""Cancels every active run of a tenant and waits until all have ended."""


class TenantService:
    def __init__(
        self, database: Database, cancel_tenant: CancelTenant, once: Once, tell_deleted: Callable[[UUID], None]
    ) -> None:
        self._database = database
        self._cancel_tenant = cancel_tenant
        self._once = once
        self._tell_deleted = tell_deleted

    async def create(self, body: TenantCreate, key: IdempotencyKey | None) -> Tenant | Replay:
        """Raises: Conflict, code `slug_taken`; InvalidRequest, `idempotency_key_reused`."""
        at = now()
        tenant = Tenant(id=new_id(), name=body.name, slug=body.slug, created_at=at, updated_at=at)
        async with self._database.operator() as unit:
            if replay := await self._once.begin(unit.idempotency, key):
                return replay
            await unit.tenants.add(tenant)
            await self._once.end(unit.idempotency, key, tenant)
            await unit.audit.record(
                "tenant.created", object_type="tenant", object_id=str(tenant.id), payload={"slug": tenant.slug}
            )
        return tenant

    async def list(self, *, limit: int, cursor: str | None) -> Page[Tenant]:
        after = decode_cursor(cursor)
        async with self._database.operator(read_only=True) as unit:
            found = await unit.tenants.list(limit=limit + 1, after=after)
        return page_of(found, limit, lambda tenant: tenant.id)

    async def get(self, tenant_id: UUID) -> Tenant:
        """Raises: NotFound."""
        async with self._database.operator(read_only=True) as unit:
            return await unit.tenants.get(tenant_id)

    async def update(self, tenant_id: UUID, body: TenantUpdate) -> Tenant:
        """Raises: NotFound, Conflict with code `slug_taken`."""
        async with self._database.operator() as unit:
            current = await unit.tenants.get_for_update(tenant_id)
            tenant = msgspec.structs.replace(current, **given(body), updated_at=now())
            await unit.tenants.update(tenant)
            if changed := changes(current, tenant):
                await unit.audit.record(
                    "tenant.updated", object_type="tenant", object_id=str(tenant_id), payload={"changed": changed}
                )
        return tenant

    async def delete(self, tenant_id: UUID) -> None:
        """From now on the tenant does not exist. What it owned is removed soon; the audit trail says when.

        Its runs are cancelled before, so that their streams end in an orderly way. What cannot be told in time, or
        begins meanwhile, ends without a word.

        Raises:
            NotFound.
        """
        await self.get(tenant_id)
        await self._cancel_tenant(tenant_id)
        async with self._database.operator() as unit:
            await unit.tenants.delete(tenant_id)
            await unit.audit.record("tenant.deleted", object_type="tenant", object_id=str(tenant_id))
        self._tell_deleted(tenant_id)
