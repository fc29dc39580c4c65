"""What the ledger adds up to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository
from retinue.domain.runs import CallOutcome
from retinue.domain.spending import Grouping, UsageRow
from retinue.domain.usage import Provenance

_SUMS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_micros",
)


class UsageRepository(TenantRepository):
    async def summarize(
        self, grouping: Grouping, *, since: datetime, until: datetime, limit: int, after: str | None = None
    ) -> Sequence[UsageRow]:
        """The groups of the calls that were begun in a range of time and have ended, in the order of their keys, those
        after `after`. `since` is in the range, `until` is not.

        Reads the range by its index: what lies before it costs nothing, however much it is.

        Raises:
            ValueError: `after` is no key of this grouping.
        """
        entry = t.LedgerEntry
        key = self._key(grouping)
        counts = {
            "calls": sa.func.count(),
            "runs": sa.func.count(entry.run_id.distinct()),
            **{name: _sum(getattr(entry, name)) for name in _SUMS},
            "unknown_cost_calls": sa.func.count() - sa.func.count(entry.cost_micros),
            "estimated_calls": _sum(sa.case((entry.provenance == Provenance.ESTIMATED, 1), else_=0)),
        }
        statement = self._select(entry, key.label("key"), *(count.label(name) for name, count in counts.items())).where(
            entry.opened_at >= since, entry.opened_at < until, entry.outcome != CallOutcome.OPEN
        )
        if after is not None:
            last = UUID(after) if grouping in {Grouping.EMPLOYEE, Grouping.CONVERSATION} else after
            statement = statement.where(key > last)
        rows = await self._executor.rows(statement.group_by(key).order_by(key).limit(limit))
        return [UsageRow(key=str(row.key), **{name: getattr(row, name) for name in counts}) for row in rows]

    def _key(self, grouping: Grouping) -> sa.ColumnElement[Any]:
        entry = t.LedgerEntry
        match grouping:
            case Grouping.DAY:
                return self._dialect.day(entry.opened_at)
            case Grouping.EMPLOYEE:
                return sa.type_coerce(entry.employee_id, sa.Uuid())
            case Grouping.CONVERSATION:
                return sa.type_coerce(entry.conversation_id, sa.Uuid())
            case Grouping.USER:
                return sa.func.coalesce(entry.user_id, sa.literal_column("''"))
            case Grouping.MODEL:
                return sa.type_coerce(entry.provider, sa.Text()) + sa.literal_column("'/'") + entry.model


def _sum(column: Any) -> sa.ColumnElement[int]:
    """PostgreSQL's sum of large integers is of another kind."""
    return sa.cast(sa.func.sum(column), sa.BigInteger)
