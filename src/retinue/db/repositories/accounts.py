"""The counters of budgets, locked while they are changed."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from math import ceil
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change, Outcome
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository, has_changed
from retinue.db.scripts import Script
from retinue.domain.budgets import Alert, Budget, Grant, Quote, Reservation, end_of, start_of
from retinue.domain.errors import BudgetExceeded, Conflict

V = TypeVar("V")
_PLAIN = tuple(name for name in Budget.__struct_fields__ if name != "period_end")


class Account:
    """A budget's counters in its present period. Whoever has one holds the lock of the row."""

    def __init__(self, budget: Budget, at: datetime) -> None:
        self.budget = budget
        self.at = at
        """The database's time."""
        self.is_changed = False

    @property
    def left(self) -> int:
        """What nobody has spent or reserved; less than nothing after the limit was lowered, or a cost was guessed too
        low."""
        return self.unspent - self.budget.reserved_micros

    @property
    def unspent(self) -> int:
        return self.budget.limit_micros - self.budget.spent_micros

    def reserve(self, micros: int) -> Reservation:
        self._change(reserved_micros=self.budget.reserved_micros + micros)
        return Reservation(self.budget.id, self.budget.period_start, micros)

    def settle(self, reservation: Reservation, cost: int) -> None:
        """Give a reservation back and book the cost. One of an earlier period was forgotten together with that."""
        if reservation.period_start == self.budget.period_start:
            self._change(
                reserved_micros=self.budget.reserved_micros - reservation.micros,
                spent_micros=self.budget.spent_micros + cost,
            )

    def alert(self) -> Alert | None:
        """The alert of this period, if it is to be raised now."""
        if not _is_alarming(self.budget):
            return None
        self._change(alerted_at=self.at)
        return Alert(self.budget)

    def _change(self, **counters: Any) -> None:
        self.budget = msgspec.structs.replace(self.budget, **counters)
        self.is_changed = True


class Accounts(TenantRepository):
    def locking(
        self, subject_ids: Collection[str] = (), budget_ids: Collection[UUID] = ()
    ) -> Script[Sequence[Account]]:
        """Lock those of these subjects and budgets, in the one order in which everybody locks them: two who want some
        of the same never wait for each other."""
        if not subject_ids and not budget_ids:
            return ()
        rows = yield self._locked(_padded(subject_ids), _padded(budget_ids))
        return [Account(budget_of(row), row.at) for row in rows]

    async def read(self, subject_ids: Collection[str]) -> Sequence[Account]:
        """Those of these subjects, without a lock: to look only."""
        rows = await self._executor.rows(self._rows().where(t.Budget.subject_id.in_(subject_ids)))
        return [Account(budget_of(row), row.at) for row in rows]

    def writing(self, accounts: Collection[Account]) -> list[Change[bool]]:
        """Store those that were changed."""
        return [self._writing(account.budget) for account in accounts if account.is_changed]

    def _writing(self, budget: Budget) -> Change[bool]:
        counters = {
            "period_start": budget.period_start,
            "spent_micros": budget.spent_micros,
            "reserved_micros": budget.reserved_micros,
            "alerted_at": budget.alerted_at,
        }
        return Change(self._with_id(budget.id).setting(counters), has_changed)

    def settling(self, held: Reservation, cost: int, alarm: Callable[[], None]) -> Change[bool]:
        """Do what `Account.settle` does without looking at the account first. The alarm is called if it may be time for
        an alert. Only for a transaction that locks nothing after it: it keeps to no order.
        """

        def tell(outcome: Outcome) -> bool:
            if outcome.row is not None and _is_alarming(outcome.row):
                alarm()
            return True  # a budget that is gone, or has begun anew, has forgotten the reservation

        return Change(self._settled(held.budget_id, held.period_start, held.micros, cost), tell)

    @prepared
    def _settled(self, budget_id: UUID, period_start: datetime, micros: int, cost: int) -> Any:
        budget = t.Budget
        # Whether to alert is found out elsewhere: SQLite 3.40 takes null for something else while it returns a row.
        looked_at = (budget.soft_percent, budget.limit_micros, budget.spent_micros, budget.alerted_at)
        return (
            self._update(budget)
            .where(budget.id == budget_id, budget.period_start == period_start)
            .values(reserved_micros=budget.reserved_micros - micros, spent_micros=budget.spent_micros + cost)
            .returning(*looked_at)
        )

    @prepared
    def _with_id(self, budget_id: UUID) -> sa.Update:
        return self._update(t.Budget).where(t.Budget.id == budget_id)

    @prepared
    def _locked(self, subject_ids: tuple[str, ...], budget_ids: tuple[UUID, ...]) -> sa.Select[Any]:
        by_subject, by_id = _one_of(t.Budget.subject_id, subject_ids), _one_of(t.Budget.id, budget_ids)
        # Each alone where it will do: what is joined by `or` is harder to find by an index.
        wanted = by_subject if not budget_ids else by_id if not subject_ids else by_subject | by_id
        # As the index has them, so that it is used, and as nobody else's order can differ: no two are equal in it.
        order = (t.Budget.subject_id, t.Budget.subject, t.Budget.period, t.Budget.set_by)
        return self._rows().where(wanted).order_by(*order).with_for_update(key_share=True)

    def _rows(self) -> sa.Select[Any]:
        return self._select(t.Budget, t.Budget, self._dialect.clock().label("at"))


def _is_alarming(budget: Any) -> bool:
    """Whether the alert of its period is to be raised. A row will do."""
    if budget.soft_percent is None or budget.alerted_at is not None:
        return False
    is_reached: bool = budget.spent_micros * 100 >= budget.limit_micros * budget.soft_percent
    return is_reached


def _one_of(column: Any, values: Sequence[Any]) -> sa.ColumnElement[bool]:
    is_one: sa.ColumnElement[bool] = column.in_([sa.type_coerce(value, column.type) for value in values])
    return is_one


def _padded(ids: Collection[V]) -> tuple[V, ...]:
    """None, one, two, four, eight: so that there are few statements. To name one again changes nothing."""
    own = tuple(ids)
    return own + own[:1] * ((1 << (len(own) - 1).bit_length()) - len(own) if own else 0)


def budget_of(row: sa.Row[Any]) -> Budget:
    """As it stands at the time `row.at`: whoever did not spend anything in the present period has not spent anything.

    Whoever waited for a lock may have looked at the clock before the one who has begun a period.
    """
    fields = {name: getattr(row, name) for name in _PLAIN}
    start = max(row.period_start, start_of(row.period, row.at))
    if start > row.period_start:
        fields |= {"period_start": start, "spent_micros": 0, "reserved_micros": 0, "alerted_at": None}
    return Budget(**fields, period_end=end_of(row.period, start))


def granted(accounts: Sequence[Account], quote: Quote | None, left_of: Callable[[Account], int]) -> Grant | None:
    """What a call may cost, if these accounts have so much left; None if none of them is a bound.

    Args:
        quote: what it asks for; None where the price is not known.

    Raises:
        BudgetExceeded: not even the input can be paid.
        Conflict: `price_unknown`.
    """
    hard = [account for account in accounts if account.budget.hard_stop]
    if not hard:
        return None
    if quote is None:
        raise Conflict(
            "A budget bounds what this answer may cost, and what its model costs is not known. Set the price with "
            "PUT /tenants/{tenant_id}/prices.",
            code="price_unknown",
        )
    left = min(map(left_of, hard))
    if left >= quote.most_micros:
        return Grant(quote.most_micros, is_whole=True)
    if left <= quote.input_micros:
        raise _exceeded([account for account in hard if left_of(account) <= quote.input_micros])
    return Grant(left, is_whole=False)


def _exceeded(accounts: Sequence[Account]) -> BudgetExceeded:
    """Of several that are used up the last one to begin anew counts."""
    last = max(accounts, key=lambda account: account.budget.period_end)
    budget, end = last.budget, last.budget.period_end
    detail = (
        f"The budget {budget.id} of this {budget.subject} for a {budget.period} has nothing left. It begins anew at "
        f"{end:%Y-%m-%dT%H:%M:%SZ}."
    )
    seconds = max(ceil((end - last.at).total_seconds()), 1)
    return BudgetExceeded(detail, headers={"Retry-After": str(seconds)})
