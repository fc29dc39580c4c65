"""Adding closed calls to the sums that usage is told from."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.prepared import prepared
from retinue.db.repositories.across import AcrossTenants
from retinue.db.repositories.base import is_there
from retinue.db.repositories.usage_groups import COUNTED, NULLABLE, counted, is_unsummed, key_of, slot_of
from retinue.domain.spans import REACHES, SLOTS
from retinue.domain.spending import Grouping

_LOCK = 0x52544E55_53  # any number that no other user of the database takes


class UsageSums(AcrossTenants):
    """Of all tenants."""

    async def is_behind(self) -> bool:
        """Whether a closed call is in no sum."""
        return await self._executor.row(self._any_unsummed()) is not None

    async def add_calls(self, limit: int) -> int:
        """Sum up closed calls that are in no sum, at most so many; how many they were. 0 also while another process is
        at it.

        All of it is in this transaction: afterwards each of them is in all sums, or in none.
        """
        if not await self._executor.scalar(self._lock()):
            return 0
        found = await self._executor.rows(self._unsummed(limit))
        if found:
            chosen = [row.tenant_id.hex + row.id.hex for row in found]
            await self._executor.change(self._added(chosen))
            await self._executor.change(self._returned(chosen))
            await self._executor.change(self._marked(chosen))
        return len(found)

    @prepared
    def _lock(self) -> sa.Select[Any]:
        return sa.select(self._dialect.try_lock(_LOCK))

    @prepared
    def _any_unsummed(self) -> sa.Select[Any]:
        return sa.select(t.LedgerEntry.id).where(is_unsummed(), is_there(t.LedgerEntry.tenant_id)).limit(1)

    @prepared
    def _unsummed(self, limit: Any) -> sa.Select[*tuple[Any, ...]]:
        """Locked, although nobody changes them any more: their tenant may be about to be erased."""
        entry = t.LedgerEntry
        found = sa.select(entry.tenant_id, entry.id).where(is_unsummed(), is_there(entry.tenant_id))
        first = found.order_by(entry.tenant_id, entry.opened_at).limit(limit)
        return first.with_for_update(skip_locked=True)

    @prepared
    def _marked(self, chosen: Any) -> sa.Update:
        entry, calls = t.LedgerEntry, self._calls(chosen)
        is_chosen = sa.tuple_(entry.tenant_id, entry.id).in_(sa.select(calls.c.tenant_id, calls.c.id))
        return sa.update(entry).where(is_chosen).values(is_summed=sa.true())

    def _calls(self, chosen: Any) -> sa.Subquery:
        """The ids of tenants and calls, from a list of both in one word each."""
        word = self._dialect.members(chosen, sa.Text).c.value
        halves = [sa.cast(sa.func.substr(word, start, 32), sa.Uuid()) for start in (1, 33)]
        return sa.select(halves[0].label("tenant_id"), halves[1].label("id")).subquery()

    @prepared
    def _added(self, chosen: Any) -> Insert:
        chosen, names = self._calls(chosen), ("runs", *COUNTED)
        parts = sa.union_all(*self._amounts(chosen), self._first_visits(chosen)).subquery()
        levels = _levels()
        span = (parts.c.slot // levels.c.slots) * _number(len(SLOTS)) + levels.c.level
        place = (parts.c.tenant_id, parts.c.grouping, span.label("span"), parts.c.key)
        sums = [sa.cast(sa.func.sum(parts.c[name]), sa.BigInteger).label(name) for name in names]
        rows = sa.select(*place, *sums).select_from(parts.join(levels, sa.true())).group_by(*place)
        insert = self._dialect.insert(t.UsageSum).from_select(["tenant_id", "grouping", "span", "key", *names], rows)
        return insert.on_conflict_do_update(
            index_elements=["tenant_id", "grouping", "span", "key"],
            set_={name: _sum(t.UsageSum, insert.excluded, name) for name in names},
        )

    @prepared
    def _returned(self, chosen: Any) -> Insert:
        moved = self._moved(self._calls(chosen)).subquery()
        apart = moved.c.slot - moved.c.left_slot
        reach = sa.case(*((apart < reach, sa.literal_column(str(reach), sa.BigInteger())) for reach in REACHES))
        place = (moved.c.tenant_id, moved.c.grouping, reach, moved.c.slot, moved.c.left_slot, moved.c.key)
        rows = sa.select(*place, moved.c.runs).where(moved.c.left_slot.is_not(None))
        names = ["tenant_id", "grouping", "reach", "slot", "left_slot", "key"]
        insert = self._dialect.insert(t.UsageReturn).from_select([*names, "runs"], rows)
        return insert.on_conflict_do_update(
            index_elements=names, set_={"runs": t.UsageReturn.runs + insert.excluded.runs}
        )

    def _amounts(self, chosen: Any) -> Iterator[sa.Select[Any]]:
        """What the chosen calls come to, by group and slot."""
        entry = t.LedgerEntry
        columns = [getattr(entry, name) for name in ("tenant_id", *NULLABLE, "provenance")]
        columns += [key_of(grouping, self._dialect).label(grouping) for grouping in Grouping]
        is_chosen = (entry.tenant_id == chosen.c.tenant_id) & (entry.id == chosen.c.id)
        calls = sa.select(*columns, slot_of(self._dialect).label("slot")).join_from(entry, chosen, is_chosen).cte()
        sums = [sums.label(name) for name, sums in counted(calls.c).items()]
        for grouping in Grouping:
            place = _place(calls, grouping)
            yield sa.select(*place, _number(0).label("runs"), *sums).group_by(*place[:1], *place[2:])

    def _first_visits(self, chosen: Any) -> sa.Select[Any]:
        """How many more runs, or fewer, have their first call of a group in a slot."""
        moved = self._moved(chosen).subquery()
        nothing = [(_number(None) if name in NULLABLE else _number(0)).label(name) for name in COUNTED]
        place = (moved.c.tenant_id, moved.c.grouping, moved.c.slot, moved.c.key)
        return sa.select(*place, moved.c.runs, *nothing).where(moved.c.left_slot.is_(None))

    def _moved(self, chosen: Any) -> sa.Select[Any]:
        """How many more runs, or fewer, come to a slot from which one, or from none, once the chosen calls are summed.

        A run's calls may be summed one after the other, and in any order: what comes between two that were summed
        before, or before the first of them, changes what was told of those.
        """
        visits = self._visits(chosen)
        run = (visits.c.tenant_id, visits.c.grouping, visits.c.key, visits.c.run_id)
        old_slot = sa.case((visits.c.is_old == 1, visits.c.slot))
        walk = sa.select(
            *run[:3],
            visits.c.slot,
            visits.c.is_old,
            sa.func.lag(visits.c.slot).over(partition_by=run, order_by=visits.c.slot).label("left_slot"),
            sa.func.max(old_slot)
            .over(partition_by=run, order_by=visits.c.slot, rows=(None, -1))
            .label("old_left_slot"),
        ).subquery()
        place = (walk.c.tenant_id, walk.c.grouping, walk.c.key, walk.c.slot)
        steps = sa.union_all(
            sa.select(*place, walk.c.left_slot.label("left_slot"), _number(1).label("runs")),
            sa.select(*place, walk.c.old_left_slot, _number(-1)).where(walk.c.is_old == 1),
        ).subquery()
        step = (steps.c.tenant_id, steps.c.grouping, steps.c.key, steps.c.slot, steps.c.left_slot)
        runs = sa.cast(sa.func.sum(steps.c.runs), sa.BigInteger)
        return sa.select(*step, runs.label("runs")).group_by(*step).having(runs != 0)

    def _visits(self, chosen: Any) -> sa.CTE:
        """The slots in which the runs of the chosen calls have summed calls or chosen ones, for every group."""
        entry = t.LedgerEntry
        is_chosen = (entry.tenant_id == chosen.c.tenant_id) & (entry.id == chosen.c.id)
        runs = sa.select(entry.tenant_id, entry.run_id).distinct().join_from(entry, chosen, is_chosen).subquery()
        is_of_run = (entry.tenant_id == runs.c.tenant_id) & (entry.run_id == runs.c.run_id)
        is_old = entry.is_summed.is_(True)
        calls = (
            sa.select(
                entry.tenant_id,
                entry.run_id,
                slot_of(self._dialect).label("slot"),
                sa.case((is_old, 1), else_=0).label("is_old"),
                *(key_of(grouping, self._dialect).label(grouping) for grouping in Grouping),
            )
            .select_from(runs.join(entry, is_of_run).outerjoin(chosen, is_chosen))
            .where(is_old | chosen.c.tenant_id.is_not(None))
            .cte()
        )
        return sa.union_all(
            *(
                sa.select(*place, calls.c.run_id, sa.func.max(calls.c.is_old).label("is_old")).group_by(
                    *place[:1], *place[2:], calls.c.run_id
                )
                for place in (_place(calls, grouping) for grouping in Grouping)
            )
        ).cte()


def _place(calls: Any, grouping: Grouping) -> tuple[Any, ...]:
    said = sa.literal_column(f"'{grouping}'", sa.Text()).label("grouping")
    return calls.c.tenant_id, said, calls.c.slot, calls.c[grouping].label("key")


def _levels() -> Any:
    return sa.union_all(
        *(sa.select(_number(level).label("level"), _number(slots).label("slots")) for level, slots in enumerate(SLOTS))
    ).subquery()


def _number(value: int | None) -> sa.ColumnElement[Any]:
    return sa.cast(sa.null() if value is None else sa.literal_column(str(value)), sa.BigInteger)


def _sum(old: Any, new: Any, name: str) -> sa.ColumnElement[Any]:
    """Unknown is not zero: it adds nothing, and only what is unknown on both sides stays so."""
    mine, other = getattr(old, name), new[name]
    return sa.func.coalesce(mine + other, mine, other)
