"""The usage ledger: one row per provider attempt, closed exactly once.

A row holds of budgets what its call may cost, and whoever closes it gives that back: on the way out of the transaction,
so that budgets are locked after everything else.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypedDict, Unpack
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change, Outcome
from retinue.db.dialects.base import Insert
from retinue.db.executor import Executor
from retinue.db.prepared import prepared
from retinue.db.repositories.accounts import Account, Accounts, granted
from retinue.db.repositories.base import TenantRepository, first, has_changed
from retinue.db.repositories.money import cost_columns, cost_of, usage_columns, usage_of
from retinue.db.scripts import Script
from retinue.domain.budgets import Alert, Grant, Quote, Reservation, Spender
from retinue.domain.errors import BudgetExceeded, Conflict
from retinue.domain.runs import CallOutcome, LedgerEntry
from retinue.domain.usage import Cost, Usage

_PLAIN = tuple(name for name in LedgerEntry.__struct_fields__ if name not in {"usage", "cost"})


class CallEnd(TypedDict):
    outcome: CallOutcome
    usage: Usage | None
    cost: Cost | None
    error_code: str | None
    at: datetime


class LedgerRepository(TenantRepository):
    def __init__(self, tenant_id: UUID, executor: Executor) -> None:
        super().__init__(tenant_id, executor)
        self._accounts = Accounts(tenant_id, executor)
        self._due: list[tuple[Reservation, int]] = []
        self._alarming: set[UUID] = set()
        self._alerts: list[Alert] = []
        self.held: dict[UUID, tuple[Reservation, ...]] = {}
        """What the calls that this transaction has opened hold of budgets."""

    async def open(self, entry: LedgerEntry) -> bool:
        """Write down a call before it is made. To repeat it is harmless; then it is false.

        Raises:
            NotFound: there is no such tenant.
        """
        return await self._store(self._opened(), _columns(entry), missing="There is no such tenant.") == 1

    def opening(self, entry: LedgerEntry, held: tuple[Reservation, ...] = ()) -> Change[None]:
        """The same, for `Unit.together`."""
        return self._storing(self._opened(), {**_columns(entry), "reservations": held or None})

    def booking(
        self, entry: LedgerEntry, quote: Callable[[], Quote | None], *, is_tenant_locked: bool
    ) -> Script[tuple[Grant | None, Sequence[Change[Any]]]]:
        """Do what `open` and `reserve` do for a call that nobody has opened yet; what is to be written is told, and
        that must be the next changes of this transaction.

        Args:
            is_tenant_locked: this transaction holds the tenant's slots. If not, the tenant's row is held here, so that
                nobody can make a budget and miss the call.

        Raises:
            NotFound: there is no such tenant.
            BudgetExceeded, Conflict: as `reserve`.
        """
        if not is_tenant_locked:
            first((yield self._held_tenant()), "tenant")
        accounts = yield from self._settling(entry.spender)
        own, grant = _own(accounts, entry.spender), None
        held: tuple[Reservation, ...] = ()
        if own:
            grant, held = _reserved(own, quote())
        self.held[entry.id] = held
        return grant, [self.opening(entry, held), *self._accounts.writing(accounts)]

    async def reserve(
        self, entry: LedgerEntry, quote: Callable[[], Quote | None], *, is_new: bool = True
    ) -> Grant | None:
        """Reserve what an opened call may cost in all budgets that apply to it, after giving back what this transaction
        has closed. None if nothing bounds it.

        Less than asked for is granted where less is left; where not even the input can be paid, nothing is, and the
        call is not open any more.

        Args:
            quote: asked only if it matters; None where the price is not known.
            is_new: false if the row was there before: then this was done before, too.

        Raises:
            BudgetExceeded: nothing is left.
            Conflict: `price_unknown`.
        """
        accounts = await self._executor.perform(self._settling(entry.spender))
        own, grant = _own(accounts, entry.spender), None
        if own and is_new:
            try:
                grant, held = _reserved(own, quote())
            except (BudgetExceeded, Conflict):
                await self._executor.change(self._delete(t.LedgerEntry).where(t.LedgerEntry.id == entry.id))
                await self._write(accounts)
                raise
            self.held[entry.id] = held
            await self._write(accounts, Change(self._row(entry.id).setting({"reservations": held}), has_changed))
        else:
            await self._write(accounts)
        return grant if is_new else await self._granted(entry, own, quote)

    async def require_money(self, spender: Spender, quote: Callable[[], Quote | None]) -> None:
        """Refuse what could not be paid even if nobody else spent anything any more in this period.

        Raises:
            BudgetExceeded: the budget is spent. What is only reserved may come back.
            Conflict: `price_unknown`.
        """
        accounts = await self._accounts.read({name for _, name in spender.subjects})
        if own := _own(accounts, spender):
            granted(own, quote(), lambda account: account.unspent)

    async def close(self, entry_id: UUID, **end: Unpack[CallEnd]) -> bool:
        """Write down how the call ended; false and nothing written if that was done before."""
        return await self._executor.carry_out(self.closing(entry_id, **end))

    def closing(self, entry_id: UUID, **end: Unpack[CallEnd]) -> Change[bool]:
        """The same, for `Unit.together`."""

        def tell(outcome: Outcome) -> bool:
            if outcome.row is None:
                return False
            # A budget that was made meanwhile has put itself down here, too.
            self._due += [(held, _micros(end)) for held in outcome.row.reservations or ()]
            return True

        return Change(self._closed(entry_id).setting(_end_columns(end)), tell)

    def closing_settled(self, entry_id: UUID, held: Reservation, **end: Unpack[CallEnd]) -> Sequence[Change[bool]]:
        """The same for a call that holds only this, which is settled at once. If the first is false, it was closed
        before or holds something else, and the transaction must be rolled back.
        """

        def tell(outcome: Outcome) -> bool:
            return outcome.row is not None and outcome.row.reservations == (held,)

        closing = Change(self._closed(entry_id).setting(_end_columns(end)), tell)
        alarm = partial(self._alarming.add, held.budget_id)
        return closing, self._accounts.settling(held, _micros(end), alarm)

    async def list(self, run_id: UUID) -> Sequence[LedgerEntry]:
        """In the order in which they were opened."""
        statement = self._select(t.LedgerEntry).where(t.LedgerEntry.run_id == run_id).order_by(t.LedgerEntry.id)
        return [_entry(row) for row in await self._executor.rows(statement)]

    @property
    def is_flushed(self) -> bool:
        return not (self._due or self._alarming or self._alerts)

    async def flush(self) -> Sequence[Alert]:
        """Settle what was closed. The unit calls it at its end; only the audit trail is locked after it.

        Returns the alerts that this and earlier settlements of the transaction have raised.
        """
        if self._due or self._alarming:
            await self._write(await self._executor.perform(self._settling(None)))
        alerts, self._alerts = self._alerts, []
        return alerts

    async def _write(self, accounts: Sequence[Account], *changes: Change[Any]) -> None:
        if changes := (*changes, *self._accounts.writing(accounts)):
            await self._executor.together(changes)

    def _settling(self, spender: Spender | None) -> Script[Sequence[Account]]:
        """The spender's accounts and those that something is due to, locked, after that was done."""
        due, self._due = self._due, []
        subject_ids = {name for _, name in spender.subjects} if spender else set()
        budget_ids = self._alarming | {held.budget_id for held, _ in due}
        accounts = yield from self._accounts.locking(subject_ids, budget_ids)
        by_id = {account.budget.id: account for account in accounts}
        for held, cost in due:
            if account := by_id.get(held.budget_id):
                account.settle(held, cost)
        touched = [account for account in accounts if account.is_changed or account.budget.id in self._alarming]
        self._alerts += [alert for account in touched if (alert := account.alert())]
        return accounts

    async def _granted(
        self, entry: LedgerEntry, own: Sequence[Account], quote: Callable[[], Quote | None]
    ) -> Grant | None:
        """What an earlier try of the same transaction was granted, whose answer got lost."""
        columns = self._select(t.LedgerEntry, t.LedgerEntry.reservations)
        row = await self._executor.row(columns.where(t.LedgerEntry.id == entry.id))
        asked = quote() if row is not None and row.reservations else None
        if row is None or asked is None or not any(account.budget.hard_stop for account in own):
            return None
        micros = row.reservations[0].micros
        return Grant(micros, is_whole=micros >= asked.most_micros)

    @prepared
    def _opened(self) -> Insert:
        return self._insert(t.LedgerEntry).on_conflict_do_nothing()

    @prepared
    def _row(self, entry_id: UUID) -> sa.Update:
        return self._update(t.LedgerEntry).where(t.LedgerEntry.id == entry_id)

    @prepared
    def _closed(self, entry_id: UUID) -> Any:
        return self._open().where(t.LedgerEntry.id == entry_id).returning(t.LedgerEntry.reservations)

    def _open(self) -> sa.Update:
        return self._update(t.LedgerEntry).where(t.LedgerEntry.outcome == CallOutcome.OPEN)


def _own(accounts: Sequence[Account], spender: Spender) -> Sequence[Account]:
    subjects = spender.subjects
    return [account for account in accounts if (account.budget.subject, account.budget.subject_id) in subjects]


def _reserved(own: Sequence[Account], asked: Quote | None) -> tuple[Grant | None, tuple[Reservation, ...]]:
    """Raises: BudgetExceeded, Conflict; see `granted`."""
    grant = granted(own, asked, lambda account: account.left)
    micros = grant.micros if grant else asked.most_micros if asked else 0
    return grant, tuple(account.reserve(micros) for account in own)


def _micros(end: CallEnd) -> int:
    return end["cost"].micros if end["cost"] else 0


def _end_columns(end: CallEnd) -> dict[str, Any]:
    columns = {"outcome": end["outcome"], "error_code": end["error_code"], "closed_at": end["at"]}
    return {**columns, **usage_columns(end["usage"]), **cost_columns(end["cost"])}


def _columns(entry: LedgerEntry) -> dict[str, Any]:
    plain = {name: getattr(entry, name) for name in _PLAIN}
    return {**plain, **usage_columns(entry.usage), **cost_columns(entry.cost)}


def _entry(row: sa.Row[Any]) -> LedgerEntry:
    return LedgerEntry(**{name: getattr(row, name) for name in _PLAIN}, usage=usage_of(row), cost=cost_of(row))
