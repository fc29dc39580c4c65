"""The journal of effects: one row per tool call."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository
from retinue.db.repositories.json_text import read_json
from retinue.domain.encoding import encode_text
from retinue.domain.tools import OPEN_CALLS, CallStatus, Effect, JournalEntry, Risk

_PLAIN = tuple(name for name in JournalEntry.__struct_fields__ if name != "args")
_UNTOUCHED = (CallStatus.PROPOSED, CallStatus.APPROVED)


class ToolCallRepository(TenantRepository):
    async def add(self, run_id: UUID, entries: Sequence[JournalEntry]) -> None:
        """Store calls at the positions that they name.

        Raises:
            NotFound: the run is not there any more.
        """
        if entries:
            rows = [{**_columns(entry), "run_id": run_id} for entry in entries]
            await self._add(t.ToolCall, *rows, missing="There is no such run.")

    async def list(self, run_id: UUID) -> Sequence[JournalEntry]:
        """In the order of the calls."""
        return [_entry(row) for row in await self._executor.rows(self._of_run(run_id))]

    async def count(self, run_id: UUID) -> int:
        statement = self._select(t.ToolCall, sa.func.count()).where(t.ToolCall.run_id == run_id)
        return int(await self._executor.scalar(statement))

    async def change(
        self,
        run_id: UUID,
        position: int,
        *,
        to: CallStatus,
        from_: tuple[CallStatus, ...],
        result: Any = None,
        error: str | None = None,
        detail: str | None = None,
        duration_ms: int | None = None,
        approval_id: UUID | None = None,
        resolved_by: str | None = None,
        effect: Effect | None = None,
        risk: Risk | None = None,
    ) -> bool:
        """Write what has become of a call; false, and nothing is written, if its status is none of `from_`.

        The times are the database's. What is not given becomes null, except that effect, risk, approval and the name of
        who resolved the call stay.
        """
        values: dict[str, Any] = {
            "status": to,
            "result": result,
            "error": error,
            "detail": detail,
            "duration_ms": duration_ms,
        }
        kept = {"approval_id": approval_id, "resolved_by": resolved_by, "effect": effect, "risk": risk}
        values |= {name: value for name, value in kept.items() if value is not None}
        call = self._call(run_id, position, from_=from_, begins=to is CallStatus.EXECUTING, ends=to not in OPEN_CALLS)
        return await self._executor.change(call, values) == 1

    async def close_approved(self, run_id: UUID, status: CallStatus, error: str, detail: str | None = None) -> None:
        """Calls that a person allowed and nobody began get this status."""
        call = t.ToolCall
        statement = self._update(call).where(
            call.run_id == run_id, call.status == CallStatus.APPROVED, call.resolved_by.is_(None)
        )
        values = {"status": status, "error": error, "detail": detail, "finished_at": self._dialect.clock()}
        await self._executor.change(statement.values(values))

    async def close_open(self, run_id: UUID, status: CallStatus, error: str, detail: str | None = None) -> None:
        """At the end of a run: calls that nobody began get this status. Those that were being carried out failed as
        `cancelled` if they only read; of all others nobody knows the outcome.
        """
        await self._executor.change(self._closed(run_id, status, error, detail))

    @prepared
    def _of_run(self, run_id: UUID) -> sa.Select[Any]:
        return self._select(t.ToolCall).where(t.ToolCall.run_id == run_id).order_by(t.ToolCall.position)

    @prepared
    def _call(
        self, run_id: UUID, position: int, *, from_: tuple[CallStatus, ...], begins: bool, ends: bool
    ) -> sa.Update:
        call = t.ToolCall
        statement = self._update(call).where(call.run_id == run_id, call.position == position, call.status.in_(from_))
        times: dict[str, Any] = {"finished_at": self._dialect.clock() if ends else None}
        if begins:
            times["started_at"] = self._dialect.clock()
        return statement.values(times)

    @prepared
    def _closed(self, run_id: UUID, status: CallStatus, error: str, detail: str | None) -> sa.Update:
        call = t.ToolCall
        # What a person wanted to be tried again was tried before.
        is_untouched = call.status.in_(_UNTOUCHED) & call.resolved_by.is_(None)
        is_read = call.effect == Effect.READ
        word = call.status.type
        statement = self._update(call).where(call.run_id == run_id, call.status.in_(OPEN_CALLS))
        return statement.values(
            status=sa.case(
                (is_untouched, sa.type_coerce(status, word)),
                (is_read, sa.literal(CallStatus.FAILED, word)),
                else_=sa.literal(CallStatus.OUTCOME_UNKNOWN, word),
            ),
            error=sa.case(
                (is_untouched, sa.type_coerce(error, call.error.type)), (is_read, "cancelled"), else_="outcome_unknown"
            ),
            detail=sa.case((is_untouched, sa.type_coerce(detail, call.detail.type)), else_=call.detail),
            finished_at=self._dialect.clock(),
        )


def _columns(entry: JournalEntry) -> dict[str, Any]:
    return {**{name: getattr(entry, name) for name in _PLAIN}, "arguments": encode_text(entry.args)}


def _entry(row: sa.Row[Any]) -> JournalEntry:
    return JournalEntry(**{name: getattr(row, name) for name in _PLAIN}, args=read_json(row.arguments))
