"""The audit trail of one tenant, or of the operator."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.executor import Executor
from retinue.db.repositories.audit_rows import TEXTS, columns_of, entry_of, is_genuine, moment_text
from retinue.db.repositories.audit_seal import PERSON, AuditSeal, has_content, holds_sealed, new_key
from retinue.db.repositories.base import TenantRepository
from retinue.domain.audit import GENESIS, Actor, AuditEntry, Verdict, acting, entry_hash
from retinue.domain.encoding import decode, encode
from retinue.domain.ids import new_id
from retinue.domain.text import clean

NOBODY = UUID(int=0)
"""Whose chain is the operator's own."""
_PAGE_ROWS = 500


class _Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be recorded, as it will be read: a hash must not depend on types that JSON does not have."""

    id: UUID
    actor: str
    action: str
    object_type: str
    object_id: str
    request_id: str | None
    payload: dict[str, Any]


class AuditRepository(TenantRepository):
    def __init__(self, tenant_id: UUID, executor: Executor) -> None:
        super().__init__(tenant_id, executor)
        self._deeds: list[_Deed] = []

    async def record(
        self,
        action: str,
        *,
        object_type: str,
        object_id: str,
        payload: dict[str, Any] | None = None,
        actor: Actor | None = None,
    ) -> UUID:
        """Add an entry to the chain and return its id. Without an actor it is whoever acts in the present context.

        It is written when the transaction ends, or is rolled back with it: from then on nobody else can add to this
        chain, and whoever waits for it while he holds other locks must not be waited for.
        """
        who = actor or acting.get()
        entry_id = new_id()
        self._deeds.append(
            _Deed(
                id=entry_id,
                actor=clean(who.name),
                action=clean(action),
                object_type=clean(object_type),
                object_id=clean(object_id),
                request_id=None if who.request_id is None else clean(who.request_id),
                payload=decode(encode(payload or {})),
            )
        )
        return entry_id

    @property
    def is_flushed(self) -> bool:
        return not self._deeds

    async def flush(self) -> None:
        """Write what was recorded. The unit calls it at its end; nothing may be locked after it."""
        deeds, self._deeds = self._deeds, []
        if not deeds:
            return
        head, at = await self._lock_head()
        seq, previous = head.seq, head.hash
        key = self._key_for(deeds, head.content_key)
        deeds = [_sealed(deed, AuditSeal(key)) for deed in deeds] if key else deeds
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        entries: list[AuditEntry] = []
        for deed in deeds:
            entry = AuditEntry(
                tenant_id=self._tenant_id,
                seq=seq + len(entries) + 1,
                at=at,
                **msgspec.structs.asdict(deed),
                previous=entries[-1].hash if entries else previous,
                hash="",
            )
            entries.append(msgspec.structs.replace(entry, hash=entry_hash(entry)))
        await self._add(t.AuditEntry, *map(columns_of, entries))
        # An empty key is one that was forgotten: it stays so, and what was sealed just now is forgotten, too.
        kept = {} if key is None or head.content_key is not None else {"content_key": key}
        end = {"seq": entries[-1].seq, "hash": entries[-1].hash, **kept}
        await self._executor.change(self._update(t.AuditHead), end)

    async def list(
        self,
        *,
        limit: int,
        after: int | None = None,
        action: str | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[AuditEntry]:
        """Newest first, those older than the one with the sequence number `after`.

        `since` is in the range, `until` is not. What was damaged in a row is shown as well as it can be read; `verify`
        tells that it was.
        """
        await self.flush()
        row = t.AuditEntry
        statement = self._rows().order_by(row.seq.desc()).limit(limit)
        if after is not None:
            statement = statement.where(row.seq < after)
        for column, wanted in (
            (row.action, action),
            (row.object_type, object_type),
            (row.object_id, object_id),
        ):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if actor is not None:
            statement = statement.where(row.actor.in_(await self._spellings(actor)))
        if since is not None:
            statement = statement.where(row.at >= _boundary(since))
        if until is not None:
            statement = statement.where(row.at < _boundary(until))
        return await self._opened([entry_of(found) for found in await self._executor.rows(statement)])

    async def about(self, action: str, object_type: str, object_ids: Sequence[str]) -> dict[str, AuditEntry]:
        """The newest entry of this action about each of the objects, by the object's id."""
        await self.flush()
        row = t.AuditEntry
        statement = self._rows().where(
            row.action == action, row.object_type == object_type, row.object_id.in_(object_ids)
        )
        rows = await self._executor.rows(statement.order_by(row.seq))
        return {entry.object_id: entry for entry in await self._opened([entry_of(row) for row in rows])}

    async def verify(self) -> Verdict:
        """Walk the whole chain. Entries that are added meanwhile do not disturb it; some of them may be looked at.

        What it cannot find out: that the end was cut off together with the head that says where it is.
        """
        await self.flush()
        newest = sa.cast(sa.func.max(t.AuditEntry.seq), sa.BigInteger)  # SQLite might have been given another type
        last: int = await self._executor.scalar(self._select(t.AuditEntry, newest)) or 0
        # Only then: an entry is committed together with the head that counts it.
        row = await self._executor.row(self._select(t.AuditHead))
        head_seq, head_hash = (0, GENESIS) if row is None else (row.seq, row.hash)
        seen, previous = 0, GENESIS
        async for row in self._chain(head_seq):
            seen += 1
            entry = entry_of(row)
            if row.seq != seen or entry.previous != previous or not is_genuine(row, entry):
                return Verdict(is_valid=False, entries=seen, first_broken=seen, head=entry.hash)
            previous = entry.hash
        if seen < head_seq or last > head_seq:
            return Verdict(is_valid=False, entries=seen, first_broken=seen + 1, head=previous)
        if previous != head_hash:
            return Verdict(is_valid=False, entries=seen, first_broken=max(seen, 1), head=previous)
        return Verdict(is_valid=True, entries=seen, head=previous)

    async def _chain(self, last: int) -> AsyncIterator[sa.Row[Any]]:
        """The rows up to a number, page by page."""
        after = None
        while True:
            statement = self._rows().where(t.AuditEntry.seq <= last)
            if after is not None:
                statement = statement.where(t.AuditEntry.seq > after)
            page = await self._executor.rows(statement.order_by(t.AuditEntry.seq).limit(_PAGE_ROWS))
            for row in page:
                yield row
            if len(page) < _PAGE_ROWS:
                return
            after = page[-1].seq

    def _key_for(self, deeds: Sequence[_Deed], key: bytes | None) -> bytes | None:
        """None where nothing has to be sealed. The operator's own chain tells of no tenant's people."""
        if self._tenant_id == NOBODY or not any(has_content(deed.actor, deed.payload) for deed in deeds):
            return None
        return key or new_key()

    async def _spellings(self, actor: str) -> set[str]:
        """How an actor is written in the rows."""
        if not actor.startswith(PERSON) or not (key := await self._content_key()):
            return {actor}
        return {actor, AuditSeal(key).actor(actor)}

    async def _opened(self, entries: Sequence[AuditEntry]) -> Sequence[AuditEntry]:
        if not any(map(holds_sealed, entries)):
            return entries
        seal = AuditSeal(await self._content_key())
        return [seal.opened(entry) for entry in entries]

    async def _content_key(self) -> bytes | None:
        key: bytes | None = await self._executor.scalar(self._select(t.AuditHead, t.AuditHead.content_key))
        return key

    def _rows(self) -> sa.Select[Any]:
        texts = [self._dialect.utf8(getattr(t.AuditEntry, name)).label(name) for name in TEXTS]
        return self._select(t.AuditEntry, t.AuditEntry.tenant_id, t.AuditEntry.seq, *texts)

    async def _lock_head(self) -> tuple[sa.Row[Any], datetime]:
        """Where the chain ends, and the time on the database's clock."""
        columns = (t.AuditHead.seq, t.AuditHead.hash, t.AuditHead.content_key, self._dialect.clock().label("at"))
        head = self._select(t.AuditHead, *columns)
        row = await self._executor.row(head.with_for_update())
        if row is None:

            def unless_there(insert: Insert) -> Insert:
                return insert.on_conflict_do_nothing()

            await self._add(t.AuditHead, {"seq": 0, "hash": GENESIS}, refine=unless_there)
            row = await self._executor.row(head.with_for_update())
            assert row is not None, "a head is never removed"
        return row, row.at


def _sealed(deed: _Deed, seal: AuditSeal) -> _Deed:
    return msgspec.structs.replace(deed, actor=seal.actor(deed.actor), payload=seal.payload(deed.payload))


def _boundary(moment: datetime) -> str:
    """The first whole millisecond that is not before the moment."""
    return moment_text((moment + timedelta(microseconds=-moment.microsecond % 1000)).astimezone(UTC))
