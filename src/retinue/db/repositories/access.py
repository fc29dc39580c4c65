"""A tenant's keys and the origins of its pages."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.executor import Executor
from retinue.db.prepared import prepared
from retinue.db.repositories.across import AcrossTenants
from retinue.db.repositories.base import TenantRepository, found, is_there
from retinue.domain.access import ApiKey, StoredKey

_FIELDS = ApiKey.__struct_fields__
_TIMES = {"created_at", "expires_at"}
_SLICE = 1_000


class ApiKeyRepository(TenantRepository):
    async def add(self, key: ApiKey, digest: bytes, *, seconds: float | None) -> ApiKey:
        """Store a key that lives for so many seconds from now on, by the database's clock; null for ever.

        Raises:
            NotFound: there is no such tenant.
        """
        values = {name: getattr(key, name) for name in _FIELDS if name not in _TIMES}
        at = await self._executor.clock()
        expires_at = None if seconds is None else await self._after(seconds)
        await self._add(
            t.ApiKey,
            {**values, "digest": digest, "created_at": at, "expires_at": expires_at},
            missing="There is no such tenant.",
        )
        return await self.get(key.id)

    async def find(self, key_id: UUID) -> ApiKey | None:
        row = await self._executor.row(self._select(t.ApiKey).where(t.ApiKey.id == key_id))
        return None if row is None else _key(row)

    async def get(self, key_id: UUID) -> ApiKey:
        """Raises: NotFound."""
        return found(await self.find(key_id), "key")

    async def get_for_update(self, key_id: UUID) -> ApiKey:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        statement = self._select(t.ApiKey).where(t.ApiKey.id == key_id).with_for_update(key_share=True)
        return _key(found(await self._executor.row(statement), "key"))

    async def is_live(self, key_id: UUID) -> bool:
        """Whether it is neither revoked nor expired, by the database's clock."""
        live = self._select(t.ApiKey, t.ApiKey.id).where(t.ApiKey.id == key_id, _is_live(self._executor))
        return await self._executor.row(live) is not None

    async def list(self, *, limit: int, after: UUID | None = None) -> Sequence[ApiKey]:
        """Oldest first, those after the one with the id `after`; revoked and expired ones, too."""
        statement = self._select(t.ApiKey).order_by(t.ApiKey.id).limit(limit)
        if after is not None:
            statement = statement.where(t.ApiKey.id > after)
        return [_key(row) for row in await self._executor.rows(statement)]

    async def revoke(self, key_id: UUID) -> bool:
        """False, and nothing changed, if it is revoked already."""
        statement = self._update(t.ApiKey).where(t.ApiKey.id == key_id, t.ApiKey.revoked_at.is_(None))
        return await self._executor.change(statement.values(revoked_at=self._dialect.clock())) == 1

    async def end_within(self, key_id: UUID, seconds: float) -> None:
        """Let a key live for so many seconds more, or less if it ends earlier anyway."""
        end = self._dialect.clock_after(seconds)
        ends_later = t.ApiKey.expires_at.is_(None) | (t.ApiKey.expires_at > end)
        statement = self._update(t.ApiKey).where(t.ApiKey.id == key_id, ends_later)
        await self._executor.change(statement.values(expires_at=end))

    async def _after(self, seconds: float) -> Any:
        return await self._executor.scalar(sa.select(self._dialect.clock_after(seconds)))


class OriginRepository(TenantRepository):
    async def list(self) -> Sequence[str]:
        """In alphabetical order."""
        rows = await self._executor.rows(self._select(t.TenantOrigin, t.TenantOrigin.origin))
        return sorted(row.origin for row in rows)

    async def replace(self, origins: Collection[str]) -> Sequence[str]:
        """Returns those that were there before.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._lock_tenant()
        before = await self.list()
        await self._executor.change(self._delete(t.TenantOrigin))
        if origins:
            await self._add(t.TenantOrigin, *({"origin": origin} for origin in sorted(origins)))
        return before


class AccessReads(AcrossTenants):
    """What has to be known before the tenant is."""

    async def key(self, key_id: UUID) -> StoredKey | None:
        row = await self._executor.row(self._with_id(key_id))
        return None if row is None else StoredKey(key=_key(row), digest=row.digest, is_live=bool(row.is_live))

    async def live_keys(self, key_ids: Collection[UUID]) -> frozenset[UUID]:
        """Those that are neither revoked nor expired, nor of a deleted tenant."""
        live = sa.select(t.ApiKey.id).where(_is_live(self._executor), is_there(t.ApiKey.tenant_id))
        slices = [await self._executor.rows(live.where(t.ApiKey.id.in_(some))) for some in _slices(key_ids)]
        return frozenset(row.id for rows in slices for row in rows)

    async def lists_origin(self, origin: str, tenant_id: UUID | None) -> bool:
        """Whether a tenant has named this origin; null: whether any tenant has."""
        named = sa.select(t.TenantOrigin.tenant_id).where(t.TenantOrigin.origin == origin)
        if tenant_id is not None:
            named = named.where(t.TenantOrigin.tenant_id == tenant_id)
        return await self._executor.row(named.where(is_there(t.TenantOrigin.tenant_id)).limit(1)) is not None

    async def note_use(self, key_ids: Collection[UUID]) -> None:
        """These keys have been used just now."""
        for some in _slices(key_ids):
            # In one order: other processes note the same keys at the same time.
            lock = sa.select(t.ApiKey.id).where(t.ApiKey.id.in_(some)).order_by(t.ApiKey.id)
            await self._executor.rows(lock.with_for_update(key_share=True))
            used = sa.update(t.ApiKey).where(t.ApiKey.id.in_(some))
            await self._executor.change(used.values(last_used_at=self._executor.dialect.clock()))

    @prepared
    def _with_id(self, key_id: UUID) -> Any:
        is_live = _is_live(self._executor).label("is_live")
        return sa.select(t.ApiKey, is_live).where(t.ApiKey.id == key_id, is_there(t.ApiKey.tenant_id))


class ServerSecrets:
    """Secrets that all processes share, sealed."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, name: str, sealed: bytes) -> None:
        """Store a secret, unless there is one of that name."""
        insert = self._executor.dialect.insert(t.ServerSecret).on_conflict_do_nothing()
        at = await self._executor.clock()
        await self._executor.change(insert, {"name": name, "sealed": sealed, "created_at": at})

    async def find(self, name: str) -> bytes | None:
        statement = sa.select(t.ServerSecret.sealed).where(t.ServerSecret.name == name)
        sealed: bytes | None = await self._executor.scalar(statement)
        return sealed

    async def replace(self, name: str, before: bytes, sealed: bytes) -> bool:
        """False, and nothing changed, if somebody else was faster."""
        statement = sa.update(t.ServerSecret).where(t.ServerSecret.name == name, t.ServerSecret.sealed == before)
        return await self._executor.change(statement.values(sealed=sealed)) == 1


def _slices(key_ids: Collection[UUID]) -> Iterator[Sequence[UUID]]:
    """A statement has room for so many values only."""
    ordered = sorted(key_ids)
    return (ordered[start : start + _SLICE] for start in range(0, len(ordered), _SLICE))


def _is_live(executor: Executor) -> sa.ColumnElement[bool]:
    expires_at = t.ApiKey.expires_at
    return t.ApiKey.revoked_at.is_(None) & (expires_at.is_(None) | (expires_at > executor.dialect.clock()))


def _key(row: sa.Row[Any]) -> ApiKey:
    return ApiKey(**{name: getattr(row, name) for name in _FIELDS})
