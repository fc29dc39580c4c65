"""Stories of runs that try, fail, break off, are cancelled and are taken over, and whether their books are right."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from typing import NamedTuple
from uuid import UUID

from hypothesis import strategies as st

from retinue.domain.budgets import Budget, Period, Subject
from retinue.domain.errors import ProviderReset
from retinue.domain.ids import new_id, now
from retinue.domain.model_io import Finished, FinishReason, TextPiece, ToolCallEnded, ToolCallStarted, UsageReported
from retinue.domain.policy import RetryPolicy
from retinue.domain.prices import ModelPrice
from retinue.domain.runs import CallOutcome, LedgerEntry, Run
from retinue.domain.spending import Grouping, UsageRow
from retinue.domain.usage import Usage, add_usage
from retinue.jobs.summing import sum_up
from tests.contract.repositories.spending import a_budget
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, until
from tests.unit.runs.process import Process

PRICE = ModelPrice(
    provider="stub", model="m", input_price=1_000_000, cached_input_price=100_000, output_price=7_000_000
)
EAGER = RetryPolicy(max_tries=3, base_delay=0.0, max_delay=0.0)
WEEK = timedelta(days=7)


class Act(NamedTuple):
    """One call of the model, and what becomes of it."""

    kind: str
    """`refuse`: nothing comes, and it is tried again. `call`: a tool call, and the next step. `end`. `break`: the
    connection breaks in the middle. `cancel` and `take`: somebody cancels, or takes over, a run that is in the middle.
    """
    words: int
    reported: int | None
    """Tokens that the provider says it counted."""


ACTS = st.builds(
    Act,
    st.sampled_from(["refuse", "refuse", "call", "call", "call", "take", "take", "end", "break", "cancel"]),
    st.integers(0, 5),
    st.none() | st.integers(0, 50),
)
STORIES = st.lists(ACTS, max_size=7).map(lambda acts: [*acts, Act("end", 1, None)])


class Theatre:
    """Plays stories one after the other in one tenant, whose books go on and on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.key_id = new_id()
        self.entries: list[LedgerEntry] = []
        self.budgets: list[UUID] = []

    async def open(self) -> None:
        """Budgets of every kind that never stop anything, and a price."""
        world = self.world
        names = {
            Subject.TENANT: str(world.tenant.id),
            Subject.EMPLOYEE: str(world.employee.id),
            Subject.USER: "user-1",
            Subject.KEY: str(self.key_id),
        }
        async with world.database.unit(world.tenant.id) as unit:
            await unit.prices.replace([PRICE])
            for subject, name in names.items():
                for period in Period:
                    budget = a_budget(world.tenant.id, subject=subject, subject_id=name, period=period)
                    self.budgets.append((await unit.budgets.add(budget)).id)

    async def play(self, acts: Sequence[Act]) -> None:
        scripts, stops = _scripts(acts)
        office = self._office(scripts)
        await office.configure(llm_provider="stub", llm_model="m")
        conversation = await self.world.conversation()
        run = await office.start(conversation, key_id=self.key_id)
        for kind, gate in stops:
            here = office
            await until(lambda: gate.reached.is_set() or not here.supervisor.runs(run.id))  # noqa: B023
            if not office.supervisor.runs(run.id):
                break
            office = await self._stop(kind, gate, office, run)
        async with asyncio.timeout(DEADLINE):
            await office.service.wait(run)
        for process in self.world.processes:
            if isinstance(process, Process):
                await process.idle()
        await self._check(run, asked=len(office.provider.requests))

    def _office(self, scripts: list[list[Step]], before: Process | None = None) -> Process:
        office = Process(self.world, *scripts, name=str(new_id()), retries=EAGER)
        if before is not None:
            office.provider._calls, office.provider.requests = before.provider._calls, before.provider.requests
        return office

    async def _stop(self, kind: str, gate: Gate, office: Process, run: Run) -> Process:
        if kind == "cancel":
            await office.service.cancel(run.tenant_id, run.id)
            return office
        await office.flush()
        await office.freeze(run)
        other = self._office([], before=office)
        await other.look()
        gate.opened.set()
        await until(lambda: not office.supervisor.runs(run.id))
        return other

    async def _check(self, run: Run, *, asked: int) -> None:
        entries = list(await self.world.ledger_now(run))
        stored, answer = await self.world.run_now(run), await self.world.answer_now(run)
        self.entries += entries
        assert all(entry.outcome is not CallOutcome.OPEN and entry.closed_at is not None for entry in entries)
        assert len({(entry.attempt, entry.step, entry.tries) for entry in entries}) == len(entries)
        # A run that was taken over may have ended before it could ask.
        assert asked <= len(entries) <= asked + stored.attempt
        usages = [entry.usage for entry in entries if entry.usage is not None]
        assert stored.usage == answer.usage == (reduce(add_usage, usages) if usages else None)
        costs = [entry.cost for entry in entries if entry.usage is not None]
        total = None if not costs or None in costs else sum(cost.micros for cost in costs if cost is not None)
        assert (stored.cost and stored.cost.micros) == (answer.cost and answer.cost.micros) == total
        await self._check_sums(run, entries)

    async def _check_sums(self, run: Run, entries: Sequence[LedgerEntry]) -> None:
        sums = await self._usage(run.tenant_id)
        assert await sum_up(self.world.database) == len(entries)
        assert await self._usage(run.tenant_id) == sums, "whether they were added up in advance or not"
        async with self.world.database.unit(run.tenant_id, read_only=True) as unit:
            budgets = [await unit.budgets.get(budget) for budget in self.budgets]
        own = [row for row in sums[Grouping.CONVERSATION] if row.key == str(run.conversation_id)]
        assert own == [_summed(own[0].key, entries)]
        for rows in sums.values():
            assert [sum(row.calls for row in rows), sum(row.cost_micros or 0 for row in rows)] == [
                len(self.entries),
                _known(self.entries),
            ]
        assert {_counters(budget) for budget in budgets} == {(_known(self.entries), 0)}

    async def _usage(self, tenant_id: UUID) -> dict[Grouping, Sequence[UsageRow]]:
        since, until = now() - WEEK, now() + WEEK
        async with self.world.database.unit(tenant_id, read_only=True) as unit:
            return {
                grouping: await unit.usage.summarize(grouping, since=since, until=until, limit=500)
                for grouping in Grouping
            }


def _scripts(acts: Sequence[Act]) -> tuple[list[list[Step]], list[tuple[str, Gate]]]:
    scripts: list[list[Step]] = []
    stops: list[tuple[str, Gate]] = []
    for number, act in enumerate(acts):
        said: list[Step] = [TextPiece(f"word{word} ") for word in range(act.words)]
        if act.reported is not None:
            said.append(UsageReported(Usage(input_tokens=30, cached_input_tokens=10, output_tokens=act.reported)))
        match act.kind:
            case "refuse":
                said = [ProviderReset()]
            case "call":
                said += [ToolCallStarted(id=f"c{number}", name="x"), ToolCallEnded(id=f"c{number}")]
                said.append(Finished(FinishReason.TOOL_CALLS))
            case "end":
                said += [TextPiece("."), Finished(FinishReason.STOP)]
            case "break":
                said += [TextPiece("!"), ProviderReset()]
            case _:
                stops.append((act.kind, gate := Gate()))
                said += [gate, TextPiece("?"), Finished(FinishReason.STOP)]
        scripts.append(said)
    return scripts, stops


def _known(entries: Sequence[LedgerEntry]) -> int:
    return sum(entry.cost.micros for entry in entries if entry.cost is not None)


def _counters(budget: Budget) -> tuple[int, int]:
    return budget.spent_micros, budget.reserved_micros


def _summed(key: str, entries: Sequence[LedgerEntry]) -> UsageRow:
    def total(name: str) -> int | None:
        known = [count for entry in entries if entry.usage and (count := getattr(entry.usage, name)) is not None]
        return sum(known) if known else None

    priced = [entry.cost.micros for entry in entries if entry.cost is not None]
    return UsageRow(
        key=key,
        calls=len(entries),
        runs=1,
        input_tokens=total("input_tokens"),
        cached_input_tokens=total("cached_input_tokens"),
        cache_write_tokens=total("cache_write_tokens"),
        output_tokens=total("output_tokens"),
        reasoning_tokens=total("reasoning_tokens"),
        cost_micros=sum(priced) if priced else None,
        unknown_cost_calls=len(entries) - len(priced),
        estimated_calls=sum(entry.usage is not None and entry.usage.provenance == "estimated" for entry in entries),
    )
