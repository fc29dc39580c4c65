"""A tenant's keys: made, shown once, rotated, revoked."""

from functools import partial
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain.access import ApiKey, Role
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id, now
from retinue.http.idempotency import Once, Replay
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.resources.tenants.keys.schemas import KeyCreate, KeyRotate, NewKey
from retinue.security.authentication import Authenticator
from retinue.security.key_book import KeyBook
from retinue.security.key_text import make_key
from retinue.security.principal import Principal
from retinue.security.secrets import ServerSecrets


class KeyService:
    def __init__(self, database: Database, authenticator: Authenticator, book: KeyBook, once: Once) -> None:
        self._database = database
        self._authenticator = authenticator
        self._book = book
        self._once = once

    async def create(
        self, principal: Principal, tenant_id: UUID, body: KeyCreate, key: IdempotencyKey | None
    ) -> NewKey | Replay:
        """Raises: NotFound; InvalidRequest, `idempotency_key_reused`."""
        secrets = await self._authenticator.secrets()
        async with self._database.unit(tenant_id) as unit:
            if replay := await self._once.begin(unit.idempotency, key):
                return replay
            made = await self._make(
                unit, principal, body.name, body.role, secrets=secrets, seconds=body.expires_in_seconds
            )
            await self._once.end(unit.idempotency, key, _without_key(made))
            await _record(unit, "api_key.created", made.id, role=made.role)
        return made

    async def list(self, tenant_id: UUID, *, limit: int, cursor: str | None) -> Page[ApiKey]:
        """Raises: NotFound: no such tenant."""
        after = decode_cursor(cursor)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            found = await unit.api_keys.list(limit=limit + 1, after=after)
        if not found:
            await self._require_tenant(tenant_id)
        return page_of(found, limit, lambda key: key.id)

    async def get(self, tenant_id: UUID, key_id: UUID) -> ApiKey:
        """Raises: NotFound."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.api_keys.get(key_id)

    async def rotate(
        self, principal: Principal, tenant_id: UUID, key_id: UUID, body: KeyRotate, key: IdempotencyKey | None
    ) -> NewKey | Replay:
        """Make a key that follows another one, which goes on to work for a while.

        Raises:
            NotFound.
            Conflict: `key_ended`: it is revoked or expired.
            InvalidRequest: `idempotency_key_reused`.
        """
        secrets = await self._authenticator.secrets()
        async with self._database.unit(tenant_id) as unit:
            if replay := await self._once.begin(unit.idempotency, key):
                return replay
            old = await unit.api_keys.get_for_update(key_id)
            if not await unit.api_keys.is_live(key_id):
                raise Conflict("This key is revoked or has expired. Make a new one.", code="key_ended")
            made = await self._make(
                unit,
                principal,
                old.name,
                old.role,
                secrets=secrets,
                seconds=body.expires_in_seconds,
                rotated_from=old.id,
            )
            await unit.api_keys.end_within(old.id, body.grace_seconds)
            unit.after_commit.append(partial(self._book.forget, old.id))
            await self._once.end(unit.idempotency, key, _without_key(made))
            await _record(unit, "api_key.rotated", old.id, successor=str(made.id))
        return made

    async def revoke(self, tenant_id: UUID, key_id: UUID) -> None:
        """From now on it opens nothing; what is revoked already stays so.

        Raises:
            NotFound.
        """
        async with self._database.unit(tenant_id) as unit:
            await unit.api_keys.get_for_update(key_id)
            if await unit.api_keys.revoke(key_id):
                await _record(unit, "api_key.revoked", key_id)
            unit.after_commit.append(partial(self._book.forget, key_id))

    async def _make(
        self,
        unit: Unit,
        principal: Principal,
        name: str,
        role: Role,
        *,
        secrets: ServerSecrets,
        seconds: float | None,
        rotated_from: UUID | None = None,
    ) -> NewKey:
        text = make_key(new_id())
        written = text.write()
        digest = secrets.digest(written)
        key = ApiKey(
            id=text.id,
            tenant_id=unit.tenant_id,
            name=name,
            role=role,
            last4=text.last4,
            created_at=now(),
            created_by=principal.name,
            rotated_from=rotated_from,
        )
        stored = await unit.api_keys.add(key, digest, seconds=seconds)
        return NewKey(**msgspec.structs.asdict(stored), key=written)

    async def _require_tenant(self, tenant_id: UUID) -> None:
        async with self._database.operator(read_only=True) as unit:
            if await unit.tenants.find(tenant_id) is None:
                raise NotFound("There is no such tenant.")


def _without_key(made: NewKey) -> NewKey:
    return msgspec.structs.replace(made, key=None)


async def _record(unit: Unit, action: str, key_id: UUID, **payload: str) -> None:
    await unit.audit.record(action, object_type="api_key", object_id=str(key_id), payload=payload)
