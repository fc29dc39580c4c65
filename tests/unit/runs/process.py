"""One process of several on one database: everything that runs runs, put together as the application does it."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from retinue.coordination.memory import MemoryCoordination
from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import ModelSettings, Persona
from retinue.domain.events import RecordedEvent
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import START, Position, now
from retinue.domain.limits import NO_BOUNDS, Limits
from retinue.domain.model_io import ModelRequest
from retinue.domain.policy import RetryPolicy, RunLimits, SessionPolicy
from retinue.domain.runs import Run
from retinue.domain.signals import Signal, SignalKind
from retinue.domain.tenants import SecretState, StoredConfig, TenantConfig
from retinue.jobs.lookout import Lookout
from retinue.providers.base import Provider, ProviderConfig
from retinue.providers.registry import ProviderRegistry
from retinue.runs.admission import Admission
from retinue.runs.cancellation import Cancellation
from retinue.runs.context import RunCreate, api_key_place
from retinue.runs.dispatcher import Dispatcher
from retinue.runs.errands import Errands
from retinue.runs.event_writer import EventWriter
from retinue.runs.factory import RunnerFactory
from retinue.runs.follow import Follower
from retinue.runs.lease import Lease
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.limiting.tokens import TokenMeter
from retinue.runs.recovery import Recovery
from retinue.runs.runner import Runner
from retinue.runs.service import RunService
from retinue.runs.sessions import Sessions
from retinue.runs.supervisor import Supervisor
from retinue.runs.switchboard import Switchboard
from retinue.runs.turnstile import Turnstile
from retinue.runs.waiting.approvals import Approvals
from retinue.runs.waiting.expiry import Expiry
from retinue.runs.wakes import Wakes
from retinue.tools.base import Tool
from retinue.tools.registry import ToolRegistry
from tests.unit.runs.conftest import NO_RETRIES, World
from tests.unit.runs.doubles import DEADLINE, Step, StubProvider, until

KEY = "provider-key-0123456789"
KEYRING = Keyring({"k1": bytes(32)})
LIMITS = RunLimits(max_output_tokens=1000, context_tokens=10_000)
ANY_PACE = SessionPolicy(max_messages=0)


class StubFactory:
    """Hands out one provider and remembers with which configuration."""

    needs_key = False

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.opened: list[ProviderConfig] = []

    def validate(self, config: ProviderConfig) -> None:
        del config

    def forget(self) -> None:
        pass

    def open(self, config: ProviderConfig) -> Provider:
        self.opened.append(config)
        return self._provider


class Process:
    """Nothing here looks around by itself: a test says when."""

    def __init__(
        self,
        world: World,
        *calls: list[Step],
        name: str = "office",
        coordination: MemoryCoordination | None = None,
        limits: RunLimits = LIMITS,
        retries: RetryPolicy = NO_RETRIES,
        max_active: int = 10,
        is_alone: bool = False,
        tools: Iterable[Tool[Any]] = (),
        sessions: SessionPolicy = ANY_PACE,
        bounds: Limits = NO_BOUNDS,
        patience: float = 0.0,
        tenant_share: float = 1.0,
        database: Database | None = None,
    ) -> None:
        """
        Args:
            bounds: what tenants may ask for if nothing else was chosen for them.
            patience: seconds that runs wait for tokens.
            database: connections of its own to the world's database.
        """
        database = database or world.database
        self.hears_others = True
        self.turnstile = Turnstile()
        self.world = world
        world.processes.append(self)
        self.provider = StubProvider(*calls)
        self.tools = ToolRegistry(tools)
        self.factory = StubFactory(self.provider)
        self.coordination = coordination or MemoryCoordination()
        self.heard: list[SignalKind] = []
        self.lease = Lease(owner=name, seconds=60)
        self.writer = EventWriter(database, batch=10_000, flush_seconds=3600)
        self.stopping, self.wakes, self.errands = asyncio.Event(), Wakes(), Errands()
        self.supervisor = Supervisor(max_active=max_active, tenant_share=tenant_share)
        self.book = LimitsBook(database, bounds)
        self.tokens = TokenMeter(self.coordination.rates, self.book, patience=patience)
        self.runners = RunnerFactory(
            database=database,
            keyring=KEYRING,
            providers=ProviderRegistry({"stub": self.factory}),
            tools=self.tools,
            log=self.coordination.log,
            writer=self.writer,
            limits=limits,
            retries=retries,
            lease=self.lease,
            tokens=self.tokens,
        )
        self.recovery = Recovery(database, self.runners, self.book)
        self.dispatcher = Dispatcher(
            database=database,
            factory=self.runners,
            recovery=self.recovery,
            supervisor=self.supervisor,
            signals=self.coordination.signals,
            limits=self.book,
        )
        self.switchboard = Switchboard(
            supervisor=self.supervisor, dispatcher=self.dispatcher, wakes=self.wakes, errands=self.errands
        )
        self.coordination.signals.subscribe(self._hear)
        self.supervisor.on_end = self.switchboard.run_ended
        self.sessions = Sessions(sessions)
        self.follower = Follower(database, self.coordination.log, self.wakes, self.stopping)
        self.service = RunService(
            database=database,
            admission=Admission(self.runners, self.sessions),
            supervisor=self.supervisor,
            dispatcher=self.dispatcher,
            cancellation=Cancellation(database, self.supervisor, self.coordination.signals, self.wakes, self.turnstile),
            follower=self.follower,
            signals=self.coordination.signals,
            errands=self.errands,
            turnstile=self.turnstile,
            sessions=self.sessions,
            limits=self.book,
            tokens=self.tokens,
            idempotency_seconds=3600,
        )
        self.expiry = Expiry(database, self.coordination.signals)
        self.approvals = Approvals(
            database=database,
            dispatcher=self.dispatcher,
            expiry=self.expiry,
            errands=self.errands,
            result_chars=limits.result_chars,
        )
        self.lookout = Lookout(
            database=database,
            lease=self.lease,
            supervisor=self.supervisor,
            dispatcher=self.dispatcher,
            switchboard=self.switchboard,
            wakes=self.wakes,
            limits=self.book,
            is_alone=is_alone,
            hears_others=lambda: self.hears_others,
        )

    def _hear(self, signal: Signal) -> None:
        self.heard.append(signal.kind)
        self.switchboard.hear(signal)

    async def configure(self, **fields: Any) -> None:
        tenant_id = self.world.tenant.id
        config = TenantConfig(
            tenant_id=tenant_id,
            llm_provider="stub",
            llm_model="tenant-model",
            llm_api_key=SecretState(set=True),
            created_at=now(),
            updated_at=now(),
        )
        config = msgspec.structs.replace(config, **fields)
        async with self.world.database.unit(tenant_id) as unit:
            sealed = KEYRING.seal(KEY, api_key_place(config))
            await unit.config.put(StoredConfig(config=config, sealed_api_key=sealed))
        await self.change_employee(max_concurrent_tasks=None)

    async def change_employee(self, **fields: Any) -> None:
        """An employee that has all tools of this process, and no choices of its own but for these."""
        tools = tuple(sorted(self.tools.names))
        plain = {"persona": Persona(), "model_settings": ModelSettings(), "reasoning": None, "tools": tools, **fields}
        async with self.world.database.unit(self.world.tenant.id) as unit:
            await unit.employees.update(msgspec.structs.replace(self.world.employee, **plain))

    async def start(
        self, conversation: Conversation, content: str = "Hi", *, key: IdempotencyKey | None = None, **fields: Any
    ) -> Run:
        request = RunCreate(content=content, **fields)
        return (await self.service.start(self.world.tenant.id, conversation.id, request, key)).run

    async def ask(self, conversation: Conversation, content: str = "Hi", **fields: Any) -> ModelRequest:
        """One whole turn; what the model was asked."""
        async with asyncio.timeout(DEADLINE):
            await self.service.wait(await self.start(conversation, content, **fields))
        return self.provider.requests[-1]

    async def follow(self, run: Run, after: Position = START) -> list[RecordedEvent]:
        """Everything that a reader here gets."""
        async with asyncio.timeout(DEADLINE):
            return [event async for batch in self.service.follow(run.tenant_id, run.id, after) for event in batch]

    def runner(self, run: Run) -> Runner:
        """The one that runs the run here."""
        return self.supervisor._runners[run.id]

    async def flush(self) -> None:
        await self.world.flush(self.writer)

    async def look(self) -> None:
        """One round of the job that looks for runs without a process."""
        async with asyncio.timeout(DEADLINE):
            await self.lookout.look()

    async def idle(self) -> None:
        """Wait until nothing runs here any more."""
        await until(lambda: self.supervisor.active_count == 0)

    async def freeze(self, *runs: Run) -> None:
        """The process stands still for longer than its lease: it stores and renews nothing, and others may notice."""
        for run in runs:
            self.runner(run).renew(asked_at=float("-inf"))
        await self.world.expire(*runs, owner=self.lease.owner)

    async def close(self) -> None:
        """Let go of everything."""
        self.supervisor.stop_admitting()
        await self._end_runs()
        self.stopping.set()
        self.wakes.wake_all()
        async with asyncio.timeout(DEADLINE):
            await self.errands.finish()
            await self._end_runs()  # an errand may just have started one
            await self.errands.finish()
            await self._finish_looks()

    async def _end_runs(self) -> None:
        self.supervisor.lose(self.supervisor.runners.values())
        await self.idle()

    async def _finish_looks(self) -> None:
        """What readers asked for who have gone away goes on; the database must not be closed under it."""
        looks = self.follower._looks
        asked = [task for shared in (looks._looks, looks._next_runs, looks._waits) for task in shared._asked.values()]
        await asyncio.gather(*asked, return_exceptions=True)


class Published:
    """Listens to everything that a process publishes."""

    def __init__(self, office: Process) -> None:
        self.said: list[RecordedEvent] = []
        publish = office.coordination.log.publish

        def listen(*events: RecordedEvent, at_once: bool = False) -> None:
            self.said += events
            publish(*events, at_once=at_once)

        office.coordination.log.publish = listen  # type: ignore[method-assign]
