"""The tool log, one row per call."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository
from retinue.domain.encoding import encode_text
from retinue.domain.messages import ToolLogEntry
from retinue.domain.runs import Run


class ToolCallRepository(TenantRepository):
    async def add_all(
        self, run: Run, entries: Sequence[ToolLogEntry], *, at: datetime, step: int | None = None
    ) -> None:
        """Store finished calls in their order, after those that the run already has.

        `at` is when the last of them was over; `step` is null for the log of a whole run.

        Raises:
            NotFound: the run is not there any more.
        """
        if not entries:
            return
        offset = await self._count(run.id)
        rows = [_columns(run, step, place, entry, at) for place, entry in enumerate(entries, offset + 1)]
        await self._add(t.ToolCall, *rows, missing="There is no such run.")

    async def list(self, run_id: UUID) -> Sequence[ToolLogEntry]:
        """In the order of the calls."""
        statement = self._select(t.ToolCall).where(t.ToolCall.run_id == run_id).order_by(t.ToolCall.position)
        return [_entry(row) for row in await self._executor.rows(statement)]

    async def _count(self, run_id: UUID) -> int:
        statement = self._select(t.ToolCall, sa.func.count()).where(t.ToolCall.run_id == run_id)
        return int(await self._executor.scalar(statement))


def _columns(run: Run, step: int | None, position: int, entry: ToolLogEntry, at: datetime) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "position": position,
        "step": step,
        "call_id": entry.tool_call_id,
        "name": entry.name,
        "arguments": encode_text(entry.args),
        "result": entry.result,
        "error": entry.error,
        "status": "succeeded" if entry.error is None else "failed",
        "duration_ms": entry.duration_ms,
        "started_at": at - timedelta(milliseconds=entry.duration_ms),
        "finished_at": at,
    }


def _entry(row: sa.Row[Any]) -> ToolLogEntry:
    return ToolLogEntry(
        tool_call_id=row.call_id,
        name=row.name,
        args=msgspec.json.decode(row.arguments),
        result=row.result,
        error=row.error,
        duration_ms=row.duration_ms,
    )
