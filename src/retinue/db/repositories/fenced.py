"""Rows that only the owner of a run may add."""

from collections.abc import Sequence
from uuid import UUID

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.prepared import new
from retinue.db.repositories.base import TenantRepository


class FencedRepository(TenantRepository):
    def _fenced_insert(self, table: type[t.Owned], run_id: UUID, attempt: int, names: Sequence[str]) -> Insert:
        """An insert of one row that stores nothing unless the run is there and in this attempt. Part of a prepared
        statement, which is given the values of the named columns.

        The run is locked until the transaction ends, so that `RunRepository.claim` either waits for the row or keeps it
        out. Only claims, and nothing that the owner itself does to the run, meet this lock.
        """
        columns = table.__table__.c  # type: ignore[attr-defined]
        values = [new(columns[name]).label(name) for name in names]
        owned = self._select(t.Run, t.Run.tenant_id, *values).where(t.Run.id == run_id, t.Run.attempt == attempt)
        key_share = owned.with_for_update(read=True, key_share=True)
        return self._insert_from(table, ["tenant_id", *names], key_share)  # type: ignore[arg-type]
