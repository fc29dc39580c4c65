"""Idempotency records: what came of the first request with a key."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository, has_changed
from retinue.domain.errors import InvalidRequest, StorageFailed
from retinue.domain.idempotency import IdempotencyKey, IdempotencyRecord

OPERATOR = UUID(int=0)
"""Stands for the tenant where the operator's own requests are kept."""

_FIELDS = IdempotencyRecord.__struct_fields__
_CLAIM_TRIES = 3


class IdempotencyRepository(TenantRepository):
    async def claim(self, key: IdempotencyKey, *, keep_seconds: float) -> IdempotencyRecord | None:
        """Make the key ours and keep the record for that long, or learn what came of the request that did so before.

        None if it is ours; an expired record counts as none. Whoever claims the key of a transaction that is still open
        waits for its end and then gets its record, or the key if it was rolled back. So claim first, then act, in one
        transaction.

        Raises:
            NotFound: the tenant was deleted.
            InvalidRequest: code `idempotency_key_reused`; the key was used for something else.
            Unavailable: the other transaction took too long.
        """
        for _ in range(_CLAIM_TRIES):  # the record in the way may be gone before it can be read
            if await self._claim(key, keep_seconds):
                return None
            row = await self._executor.row(self._select(t.IdempotencyRecord).where(_is(key)))
            if row is not None:
                return _same_request(IdempotencyRecord(**{name: getattr(row, name) for name in _FIELDS}), key)
        await self._require_tenant()
        raise StorageFailed

    async def keep(self, key: IdempotencyKey, *, run_id: UUID | None = None, answer: bytes | None = None) -> None:
        """Write down what came of the request, for those that repeat it."""
        await self._executor.carry_out(self.keeping(key, run_id=run_id, answer=answer))

    def keeping(self, key: IdempotencyKey, *, run_id: UUID | None = None, answer: bytes | None = None) -> Change[bool]:
        """The same, for `Unit.together`."""
        return Change(self._with_key(key.route, key.key).setting({"run_id": run_id, "answer": answer}), has_changed)

    async def forget(self, key: IdempotencyKey) -> None:
        """Free the key again: the request came to nothing."""
        await self._executor.change(self._delete(t.IdempotencyRecord).where(_is(key)))

    @prepared
    def _with_key(self, route: str, key: str) -> sa.Update:
        is_kept = (t.IdempotencyRecord.route == route) & (t.IdempotencyRecord.key == key)
        return self._update(t.IdempotencyRecord).where(is_kept)

    async def _claim(self, key: IdempotencyKey, keep_seconds: float) -> bool:
        clock = self._dialect.clock
        expiry = self._dialect.clock_after(keep_seconds)
        values = {"route": key.route, "key": key.key, "digest": key.digest, "run_id": None, "answer": None}

        def or_replace_expired(insert: Any) -> Any:
            insert = insert.values(created_at=clock(), expires_at=expiry)
            names = ("digest", "run_id", "answer", "created_at", "expires_at")
            return insert.on_conflict_do_update(
                index_elements=["tenant_id", "route", "key"],
                set_={name: insert.excluded[name] for name in names},
                where=t.IdempotencyRecord.expires_at <= clock(),
            )

        return await self._add(t.IdempotencyRecord, values, refine=or_replace_expired) == 1


def _is(key: IdempotencyKey) -> sa.ColumnElement[bool]:
    return (t.IdempotencyRecord.route == key.route) & (t.IdempotencyRecord.key == key.key)


def _same_request(record: IdempotencyRecord, key: IdempotencyKey) -> IdempotencyRecord:
    if record.digest != key.digest:
        raise InvalidRequest("This idempotency key was used for another request.", code="idempotency_key_reused")
    return record
