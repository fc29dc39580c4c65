"""A small world in which runs can run: one tenant, one employee, real SQLite."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import msgspec
import pytest
import structlog
import tenacity

from retinue.coordination.buckets import MemoryRates
from retinue.coordination.memory import MemoryCoordination
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, new_id
from retinue.domain.limits import NO_BOUNDS
from retinue.domain.messages import Message, MessageStatus, Role
from retinue.domain.model_io import UserTurn
from retinue.domain.policy import RetryPolicy, RunLimits
from retinue.domain.prices import ModelPrice
from retinue.domain.runs import Checkpoint, LedgerEntry, Run, RunStatus
from retinue.domain.tenants import Tenant
from retinue.providers.base import Provider, ProviderConfig
from retinue.runs import cancellation, follow, looks
from retinue.runs.calls.toolbox import Toolbox
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.event_writer import EventWriter
from retinue.runs.factory import run_started
from retinue.runs.follow import Follower
from retinue.runs.lease import Hold, Lease, clock
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.limiting.tokens import TokenMeter
from retinue.runs.parts import Beginning, Parts
from retinue.runs.recorder import Recorder
from retinue.runs.runner import Runner
from retinue.runs.wakes import Wakes
from retinue.tools.base import Caller
from retinue.tools.registry import ToolRegistry
from tests.contract.repositories.builders import NOON, a_conversation, a_tenant, an_employee
from tests.unit.runs.doubles import DEADLINE, ChangeableDatabase

NO_RETRIES = RetryPolicy(max_tries=1)
OWNER = "test"
LEASE = Lease(owner=OWNER, seconds=60)


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[ChangeableDatabase]:
    shutil.copy(migrated_file, tmp_path / "retinue.db")
    database = ChangeableDatabase.connect(f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}")
    yield database
    await database.aclose()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries of the run's end follow each other at once."""
    monkeypatch.setattr(tenacity, "wait_exponential_jitter", lambda **_: tenacity.wait_none())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[Sequence[Mapping[str, Any]]]:
    """What is logged is not printed: tracebacks of faults that a test brings about take time."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long before looking again."""
    for module in (follow, cancellation):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(looks, "NOTHING_NEW_SECONDS", 0.001)


class Closable(Protocol):
    async def close(self) -> None: ...


class World:
    def __init__(self, database: ChangeableDatabase, tenant: Tenant, employee: Employee) -> None:
        self.database = database
        self.tenant = tenant
        self.employee = employee
        self.writer = EventWriter(database, batch=64, flush_seconds=60)
        self.stopping, self.wakes = asyncio.Event(), Wakes()
        self.processes: list[Closable] = []
        """Closed after the test."""
        self.use_window(1024)

    def use_window(self, window: int) -> None:
        """Begin a new coordination whose tails hold so many events."""
        self.coordination = MemoryCoordination(window=window)
        self.log = self.coordination.log
        self.follower = Follower(self.database, self.log, self.wakes, self.stopping)

    async def conversation(self) -> Conversation:
        conversation = a_conversation(self.employee, external_id=None)
        async with self.database.unit(self.tenant.id) as unit:
            await unit.conversations.add(conversation)
        return conversation

    async def run(self, *, lease_seconds: float = 60) -> Run:
        """A run of a conversation of its own, stored and live, with question and empty answer."""
        return await self.run_in(await self.conversation(), lease_seconds=lease_seconds)

    async def run_in(self, conversation: Conversation, *, lease_seconds: float = 60) -> Run:
        run = Run(
            id=new_id(),
            tenant_id=self.tenant.id,
            conversation_id=conversation.id,
            employee_id=self.employee.id,
            user_message_id=new_id(),
            message_id=new_id(),
            status=RunStatus.RUNNING,
            attempt=1,
            position=1,
            created_at=NOON,
        )
        async with self.database.unit(self.tenant.id) as unit:
            await unit.conversations.advance(conversation.id, 2)
            await unit.runs.add(run, owner=OWNER, lease_seconds=lease_seconds)
            await unit.messages.add(*_messages(run))
        self.log.open(run.tenant_id, run.id)
        return run

    def recorder(self, run: Run, **others: Any) -> Recorder:
        """A recorder of the run's attempt whose hold lasts."""
        given = {"attempt": run.attempt, "log": self.log, "writer": self.writer, "hold": Hold(3600, clock()), **others}
        return Recorder(tenant_id=run.tenant_id, run_id=run.id, **given)

    async def expire(self, *runs: Run, owner: str = OWNER) -> None:
        """The leases run out on the database's clock."""
        async with self.database.operator() as operator:
            renewed = await operator.renew_leases(owner, [run.id for run in runs], -1)
        assert len(renewed) == len(runs), "somebody else owns it"

    async def flush(self, writer: EventWriter | None = None) -> None:
        """What the writer does when the flush time is over."""
        writer = writer or self.writer
        recorders, writer._dirty = writer._dirty, set()
        await writer._write(recorders)

    async def runner(
        self,
        provider: Provider,
        *,
        run: Run | None = None,
        retries: RetryPolicy = NO_RETRIES,
        prices: tuple[ModelPrice, ...] = (),
        **limits: Any,
    ) -> Runner:
        """A runner as the service prepares it: nothing has been recorded yet."""
        conversation = await self.conversation()
        run = run or await self.run_in(conversation)
        limited = RunLimits(**limits)
        runner = Runner(
            Parts(
                run=run,
                context=msgspec.structs.replace(context(conversation, self.employee, limited), prices=prices),
                provider=provider,
                recorder=self.recorder(run),
                writer=self.writer,
                database=self.database,
                retries=retries,
                beginning=Beginning(draft=Draft(max_chars=limited.max_answer_chars), opening=(run_started(run),)),
                toolbox=Toolbox(ToolRegistry(), self.employee, caller(run), limited),
                tokens=TokenMeter(MemoryRates(), LimitsBook(self.database, NO_BOUNDS), patience=0.0),
            )
        )
        async with self.database.unit(self.tenant.id) as unit:
            await runner.open_first_call(unit)
        self.database.units = 0
        return runner

    async def stored(self, run: Run) -> Sequence[RecordedEvent]:
        async with self.database.unit(run.tenant_id, read_only=True) as unit:
            return await unit.run_events.read(run.id)

    async def run_now(self, run: Run) -> Run:
        async with self.database.unit(run.tenant_id, read_only=True) as unit:
            return await unit.runs.get(run.id)

    async def answer_now(self, run: Run) -> Message:
        async with self.database.unit(run.tenant_id, read_only=True) as unit:
            return await unit.messages.get(run.message_id)

    async def messages_now(self, conversation_id: UUID) -> Sequence[Message]:
        async with self.database.unit(self.tenant.id, read_only=True) as unit:
            return await unit.messages.list(conversation_id, limit=100)

    async def checkpoints_now(self, run: Run) -> Sequence[Checkpoint]:
        async with self.database.unit(run.tenant_id, read_only=True) as unit:
            return await unit.checkpoints.list(run.id)

    async def ledger_now(self, run: Run) -> Sequence[LedgerEntry]:
        async with self.database.unit(run.tenant_id, read_only=True) as unit:
            return await unit.ledger.list(run.id)

    async def follow(self, run: Run, after: Position = START) -> list[RecordedEvent]:
        """Everything that a reader gets."""
        async with asyncio.timeout(DEADLINE):
            return [event async for batch in self.follower.follow(run.tenant_id, run.id, after) for event in batch]


@pytest.fixture
async def world(database: ChangeableDatabase) -> AsyncIterator[World]:
    tenant = a_tenant()
    employee = an_employee(tenant)
    async with database.operator() as operator:
        await operator.tenants.add(tenant)
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(employee)
    world = World(database, tenant, employee)
    yield world
    for process in world.processes:
        await process.close()
    await world.coordination.aclose()


def caller(run: Run) -> Caller:
    return Caller(
        tenant_id=run.tenant_id,
        employee_id=run.employee_id,
        conversation_id=run.conversation_id,
        run_id=run.id,
    )


def context(conversation: Conversation, employee: Employee, limits: RunLimits) -> RunContext:
    return RunContext(
        conversation=conversation,
        employee=employee,
        provider=ProviderConfig(provider="stub", model="stub-1"),
        system="You are Ada.",
        turns=(UserTurn("Hi"),),
        model="stub-1",
        max_output_tokens=100,
        temperature=None,
        reasoning=None,
        limits=limits,
    )


def _messages(run: Run) -> tuple[Message, Message]:
    question = Message(
        id=run.user_message_id,
        tenant_id=run.tenant_id,
        conversation_id=run.conversation_id,
        position=1,
        role=Role.USER,
        content="Hi",
        created_at=NOON,
        updated_at=NOON,
    )
    answer = msgspec.structs.replace(
        question,
        id=run.message_id,
        run_id=run.id,
        position=2,
        role=Role.ASSISTANT,
        content="",
        status=MessageStatus.STREAMING,
    )
    return question, answer
