"""What calls are grouped by, and what is summed of them: said once, for calls one by one and for sums of them."""

from typing import Any

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Dialect
from retinue.domain.runs import CallOutcome
from retinue.domain.spans import SLOT_SECONDS
from retinue.domain.spending import Grouping
from retinue.domain.usage import Provenance

NULLABLE = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_micros",
)
"""Unknown of a group if they are unknown of all its calls."""
COUNTED = ("calls", *NULLABLE, "unknown_cost_calls", "estimated_calls")
"""All columns of sums but `runs`, which are not the sum of anything: a run has several calls."""
IDS = frozenset({Grouping.EMPLOYEE, Grouping.CONVERSATION})


def key_of(grouping: Grouping, dialect: Dialect, entry: Any = t.LedgerEntry) -> sa.ColumnElement[Any]:
    """A call's group. Ids are without hyphens on both databases, which leaves their order as it is."""
    match grouping:
        case Grouping.DAY:
            return dialect.day(entry.opened_at)
        case Grouping.EMPLOYEE:
            return _word(entry.employee_id)
        case Grouping.CONVERSATION:
            return _word(entry.conversation_id)
        case Grouping.USER:
            return sa.func.coalesce(entry.user_id, sa.literal_column("''"), type_=sa.Text())
        case Grouping.MODEL:
            name: sa.ColumnElement[str] = sa.type_coerce(entry.provider, sa.Text()) + sa.literal_column("'/'")
            return name.concat(entry.model)


def slot_of(dialect: Dialect, entry: Any = t.LedgerEntry) -> sa.ColumnElement[int]:
    """The slot in which a call was begun."""
    return dialect.seconds(entry.opened_at) // sa.literal_column(str(SLOT_SECONDS), sa.BigInteger())


def counted(entry: Any) -> dict[str, sa.ColumnElement[int]]:
    """What calls come to, in the order of `COUNTED`."""
    is_estimated = entry.provenance == sa.literal_column(f"'{Provenance.ESTIMATED}'")
    return {
        "calls": sa.func.count(),
        **{name: total(getattr(entry, name)) for name in NULLABLE},
        "unknown_cost_calls": sa.func.count() - sa.func.count(entry.cost_micros),
        "estimated_calls": total(sa.case((is_estimated, 1), else_=0)),
    }


def is_closed() -> sa.ColumnElement[bool]:
    return t.LedgerEntry.outcome != sa.literal_column(f"'{CallOutcome.OPEN}'")


def is_unsummed() -> sa.ColumnElement[bool]:
    """Closed, and in no sum. Spelled as its index is."""
    return is_closed() & t.LedgerEntry.is_summed.is_(None)


def total(column: Any) -> sa.ColumnElement[int]:
    """PostgreSQL's sum of large integers is of another kind."""
    return sa.cast(sa.func.sum(column), sa.BigInteger)


def _word(column: Any) -> sa.ColumnElement[str]:
    return sa.func.replace(sa.cast(column, sa.Text), "-", "", type_=sa.Text())
