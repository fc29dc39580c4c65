"""What the ledger adds up to: sums that were reckoned in advance, and whatever is in none of them, call by call.

The whole slots of a range are told from the sums of the few spans that make them up, see `domain.spans`. To them come
the calls at both ends of the range, outside of whole slots, and those that were closed so lately that no sum has them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from retinue.db import tables as t
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository
from retinue.db.repositories.usage_groups import (
    COUNTED,
    IDS,
    NULLABLE,
    counted,
    is_closed,
    is_unsummed,
    key_of,
    slot_of,
    total,
)
from retinue.domain.spans import REACHES, Cover, cover
from retinue.domain.spending import Grouping, UsageRow

_FEW = frozenset({Grouping.DAY, Grouping.EMPLOYEE, Grouping.MODEL})
"""Groups of which there are few in any span."""
_EARLIEST, _LONGEST = 8, 3
_OTHER: type[t.LedgerEntry] = aliased(t.LedgerEntry)


class UsageRepository(TenantRepository):
    async def summarize(
        self, grouping: Grouping, *, since: datetime, until: datetime, limit: int, after: str | None = None
    ) -> Sequence[UsageRow]:
        """The groups of the calls that were begun in a range of time and have ended, in the order of their keys, those
        after `after`. `since` is in the range, `until` is not.

        Costs about the same however many calls there are. It depends on how long the range is, on how many groups are
        asked for, and on how many calls are told one by one: those of the ten minutes at either end of the range, and
        those that were closed since calls were last summed up.

        Raises:
            ValueError: `after` is no key of this grouping.
        """
        covered = cover(since, until)
        await self._executor.plan_once()
        place = UUID(after).hex if after is not None and grouping in IDS else after
        last = None if grouping in _FEW else await self._last(grouping, covered, place, limit)
        statement = self._summarized(
            (since, covered.begins_at, covered.ends_at, until),
            (covered.begin, covered.end),
            covered.spans,
            (place, last),
            limit,
            grouping=grouping,
            is_first=place is None,
            is_bounded=last is not None,
        )
        return [_row(grouping, *row) for row in await self._executor.rows(statement)]

    async def _last(self, grouping: Grouping, covered: Cover, place: str | None, limit: int) -> str | None:
        """A key at which the page ends, or before which; None if the spans that are looked at have too few keys to
        tell. Whatever else there is can only let it end earlier. To know it spares adding up the first groups of every
        span.

        The first spans tell of conversations, whose ids are in the order of time, the longest ones of anything else.
        """
        step = max(len(covered.longest) // _LONGEST, 1)
        hints = [*covered.spans[:_EARLIEST], *covered.longest[::step]]
        nth = self._nth(hints, place, limit, limit - 1, grouping=grouping, is_first=place is None)
        key: str | None = await self._executor.scalar(nth)
        return key

    @prepared
    def _nth(
        self, spans: Any, place: Any, limit: Any, skipped: Any, *, grouping: Grouping, is_first: bool
    ) -> sa.Select[Any]:
        numbers = self._dialect.members(spans, sa.BigInteger)

        def of_span(table: Any) -> sa.Select[Any]:
            is_wanted = (table.grouping == _said(grouping), table.span == numbers.c.value)
            return self._select(table, table.key).where(*is_wanted)

        def among(key: Any) -> list[Any]:
            return [] if is_first else [key > place]

        first = self._dialect.first_of_each(numbers, of_span, t.UsageSum, key="key", limit=limit, among=among)
        keys = first.subquery()
        return sa.select(keys.c.key).distinct().order_by(keys.c.key).offset(skipped).limit(1)

    @prepared
    def _summarized(
        self,
        moments: Any,
        slots: Any,
        spans: Any,
        bounds: Any,
        limit: Any,
        *,
        grouping: Grouping,
        is_first: bool,
        is_bounded: bool,
    ) -> sa.Select[Any]:
        """
        Args:
            moments: the begins of the range and of its whole slots, then the ends of those and of the range.
            bounds: the key before the page, and one where it ends at the latest.
        """
        since, begin, end, until = moments
        after, last = bounds

        def on_page(key: Any) -> list[Any]:
            return [*([] if is_first else [key > after]), *([key <= last] if is_bounded else [])]

        entry = t.LedgerEntry
        edges = (
            (is_closed(), entry.opened_at >= since, entry.opened_at < begin),
            (is_unsummed(), entry.opened_at >= begin, entry.opened_at < end),
            (is_closed(), entry.opened_at >= end, entry.opened_at < until),
        )
        parts = sa.union_all(
            self._sums(spans, limit, grouping, on_page),
            self._returns(slots, grouping, on_page),
            self._calls(edges, slots, grouping, on_page),
        ).subquery()
        sums = [total(parts.c[name]).label(name) for name in ("runs", *COUNTED)]
        return sa.select(parts.c.key, *sums).group_by(parts.c.key).order_by(parts.c.key).limit(limit)

    def _sums(self, spans: Any, limit: Any, grouping: Grouping, on_page: Any) -> sa.Select[Any]:
        numbers = self._dialect.members(spans, sa.BigInteger)

        def of_span(table: Any) -> sa.Select[Any]:
            columns = [table.key, table.runs, *(getattr(table, name) for name in COUNTED)]
            is_wanted = (table.grouping == _said(grouping), table.span == numbers.c.value)
            return self._select(table, *columns).where(*is_wanted)

        return self._dialect.first_of_each(numbers, of_span, t.UsageSum, key="key", limit=limit, among=on_page)

    def _returns(self, slots: Any, grouping: Grouping, on_page: Any) -> sa.Select[Any]:
        """Runs whose first call was begun before the whole slots, and the next one in them."""
        begin, end = (sa.type_coerce(slot, sa.BigInteger()) for slot in slots)
        reaches = self._dialect.members(list(REACHES), sa.BigInteger)
        nothing = [sa.cast(sa.null() if name in NULLABLE else 0, sa.BigInteger).label(name) for name in COUNTED]

        def within(back: Any) -> sa.Select[Any]:
            return self._select(back, back.key, back.runs, *nothing).where(
                back.grouping == _said(grouping),
                back.reach == reaches.c.value,
                back.slot >= begin,
                back.slot < begin + reaches.c.value,
                back.slot < end,
                back.left_slot < begin,
                *on_page(back.key),
            )

        return self._dialect.of_each(reaches, within, t.UsageReturn)

    def _calls(self, parts: Sequence[Any], slots: Any, grouping: Grouping, on_page: Any) -> sa.Select[Any]:
        """Calls one by one, added up by their runs, of which only those count that no sum has counted."""
        entry = t.LedgerEntry
        columns = [key_of(grouping, self._dialect).label("key"), entry.run_id]
        columns += [getattr(entry, name) for name in (*NULLABLE, "provenance")]
        calls = sa.union_all(*(self._select(entry, *columns).where(*part) for part in parts)).subquery()
        sums = [sums.label(name) for name, sums in counted(calls.c).items()]
        grouped = sa.select(calls.c.key, calls.c.run_id, *sums).where(*on_page(calls.c.key))
        by_run = grouped.group_by(calls.c.key, calls.c.run_id).subquery()
        begin, end = (sa.type_coerce(slot, sa.BigInteger()) for slot in slots)
        counted_call = (
            self._select(_OTHER, _OTHER.id)
            .where(
                _OTHER.run_id == by_run.c.run_id,
                _OTHER.is_summed.is_(True),
                # Not by the time itself: its index would be taken instead of the one of runs.
                slot_of(self._dialect, _OTHER).between(begin, end - 1),
                key_of(grouping, self._dialect, _OTHER) == by_run.c.key,
            )
            .limit(sa.literal_column("1"))
            .correlate(by_run)
            .scalar_subquery()
        )
        runs = sa.cast(sa.case((counted_call.is_(None), 1), else_=0), sa.BigInteger).label("runs")
        return sa.select(by_run.c.key, runs, *(by_run.c[name] for name in COUNTED))


def _said(grouping: Grouping) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{grouping}'")


def _row(grouping: Grouping, key: str, runs: int, *counts: Any) -> UsageRow:
    """Field by field: a page has many rows, and going through names takes five times as long."""
    calls, read, cached, written, output, reasoning, cost, unknown, estimated = counts
    return UsageRow(
        key=_hyphenated(key) if grouping in IDS else key,
        calls=calls,
        runs=runs,
        input_tokens=read,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        cost_micros=cost,
        unknown_cost_calls=unknown,
        estimated_calls=estimated,
    )


def _hyphenated(key: str) -> str:
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"
