"""Stories of calls that are opened, closed and summed up in any order, and what usage has to be told of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome, LedgerEntry
from retinue.domain.spending import Grouping, UsageRow
from retinue.domain.usage import Cost, Provenance, Usage

START = datetime(2026, 2, 25, 22, 30, tzinfo=UTC)
GAPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 3, 599.999999, 600, 4_000, 9 * 3600, 86_400, 5 * 86_400, -7, -600, -86_400)
)
"""From one call of a run to the next: within and beyond all lengths of spans. Clocks differ, so it may be negative."""
_TOKENS = tuple(name for name in Usage.__struct_fields__ if name != "provenance")


class Open(NamedTuple):
    run: int
    employee: int
    model: int
    gap: timedelta


class Close(NamedTuple):
    call: int
    """Of those that are open."""
    usage: Usage | None
    micros: int | None


class SumUp(NamedTuple):
    limit: int


class Ask(NamedTuple):
    since: timedelta
    until: timedelta
    limit: int


class AskBetween(NamedTuple):
    """From about the time of one call to about that of another one."""

    calls: tuple[int, int]
    shifts: tuple[timedelta, timedelta]
    limit: int


Act = Open | Close | SumUp | Ask | AskBetween
_SHIFTS = (timedelta(0), timedelta(microseconds=1), timedelta(minutes=-10), timedelta(hours=3), timedelta(days=-9))


def a_story(random: Random, length: int) -> list[Act]:
    """Calls of few runs, employees and models, which meet often."""
    return [_an_act(random) for _ in range(length)]


def _an_act(random: Random) -> Act:
    match random.choice(["open", "open", "open", "close", "close", "close", "sum up", "ask", "ask"]):
        case "open":
            return Open(random.randrange(5), random.randrange(2), random.randrange(2), random.choice(GAPS))
        case "close":
            return Close(random.randrange(99), _a_usage(random), random.choice([None, random.randrange(99)]))
        case "sum up":
            return SumUp(random.choice([1, 2, 3, 100]))
        case _:
            calls = (random.randrange(99), random.randrange(99))
            return AskBetween(calls, (random.choice(_SHIFTS), random.choice(_SHIFTS)), random.choice([1, 2, 50]))


def _a_usage(random: Random) -> Usage | None:
    counts = {name: random.choice([None, random.randrange(9)]) for name in _TOKENS}
    return random.choice([None, Usage(**counts, provenance=random.choice(list(Provenance)))])


WHOLE = Ask(timedelta(days=-60), timedelta(days=60), 50)


class Teller:
    """Makes calls in one tenant, and has usage told of them."""

    def __init__(self, database: Database, tenant_id: UUID, *, like: "Teller | None" = None) -> None:
        """
        Args:
            like: one whose runs and conversations have the same ids.
        """
        self._database, self._tenant_id = database, tenant_id
        self._runs: list[tuple[UUID, UUID, str | None]] = [
            (new_id(), new_id(), None if number % 2 else f"user-{number // 2}") for number in range(5)
        ]
        if like is not None:
            self._runs = like._runs
        self._employees = [new_id(), new_id()]
        self._times = [START + number * timedelta(hours=5) for number in range(5)]
        self._open: list[LedgerEntry] = []
        self.closed: list[LedgerEntry] = []

    async def play(self, *acts: Act) -> None:
        for act in acts:
            match act:
                case Open():
                    await self._open_call(act)
                case Close() if self._open:
                    await self._close_call(act)
                case SumUp():
                    async with self._database.operator() as operator:
                        await operator.usage.add_calls(act.limit)
                case Ask():
                    await self._ask(START + act.since, START + act.until, limit=act.limit)
                case AskBetween() if self.closed:
                    calls = [self.closed[call % len(self.closed)] for call in act.calls]
                    since, until = (call.opened_at + shift for call, shift in zip(calls, act.shifts, strict=True))
                    await self._ask(since, until, limit=act.limit)

    async def _open_call(self, act: Open) -> None:
        self._times[act.run] += act.gap
        run_id, conversation_id, user_id = self._runs[act.run]
        call = LedgerEntry(
            id=new_id(),
            tenant_id=self._tenant_id,
            run_id=run_id,
            conversation_id=conversation_id,
            employee_id=self._employees[act.employee],
            user_id=user_id,
            step=1,
            attempt=1,
            tries=1,
            provider="openai",
            model=f"m{act.model}",
            outcome=CallOutcome.OPEN,
            opened_at=self._times[act.run],
        )
        async with self._database.unit(self._tenant_id) as unit:
            await unit.ledger.open(call)
        self._open.append(call)

    async def _close_call(self, act: Close) -> None:
        call = self._open.pop(act.call % len(self._open))
        cost = None if act.micros is None else Cost(micros=act.micros)
        closing: dict[str, Any] = {"outcome": CallOutcome.COMPLETED, "usage": act.usage, "cost": cost}
        async with self._database.unit(self._tenant_id) as unit:
            assert await unit.ledger.close(call.id, **closing, error_code=None, at=call.opened_at)
        self.closed.append(msgspec.structs.replace(call, **closing))

    async def _ask(self, *moments: datetime, limit: int) -> None:
        since, until = sorted(moments)
        for grouping in Grouping:
            told: list[UsageRow] = []
            is_full = True
            async with self._database.unit(self._tenant_id, read_only=True) as unit:
                while is_full:
                    after = told[-1].key if told else None
                    page = await unit.usage.summarize(grouping, since=since, until=until, limit=limit, after=after)
                    assert len(page) <= limit
                    told += page
                    is_full = len(page) == limit
            assert told == usage_of(self.closed, grouping, since, until)


def usage_of(calls: Iterable[LedgerEntry], grouping: Grouping, since: datetime, until: datetime) -> list[UsageRow]:
    """From the calls one by one: what every sum has to come to."""
    groups: dict[str, list[LedgerEntry]] = defaultdict(list)
    for call in calls:
        if call.outcome is not CallOutcome.OPEN and since <= call.opened_at < until:
            groups[_key(call, grouping)].append(call)
    return [usage_row(key, groups[key]) for key in sorted(groups)]


def usage_row(key: str, calls: Sequence[LedgerEntry]) -> UsageRow:
    usages = [call.usage for call in calls if call.usage is not None]
    costs = [call.cost.micros for call in calls if call.cost is not None]
    tokens: dict[str, Any] = {name: _sum([getattr(usage, name) for usage in usages]) for name in _TOKENS}
    return UsageRow(
        key=key,
        calls=len(calls),
        runs=len({call.run_id for call in calls}),
        **tokens,
        cost_micros=_sum(costs),
        unknown_cost_calls=len(calls) - len(costs),
        estimated_calls=sum(usage.provenance is Provenance.ESTIMATED for usage in usages),
    )


def _key(call: LedgerEntry, grouping: Grouping) -> str:
    match grouping:
        case Grouping.DAY:
            return call.opened_at.date().isoformat()
        case Grouping.EMPLOYEE:
            return str(call.employee_id)
        case Grouping.USER:
            return call.user_id or ""
        case Grouping.MODEL:
            return f"{call.provider}/{call.model}"
        case Grouping.CONVERSATION:
            return str(call.conversation_id)


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
