"""The application: database, engine and HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import msgspec
from litestar import Controller, Litestar, Router
from litestar.types import ASGIApp

from retinue import __version__
from retinue.app.access import Access
from retinue.app.engine import Engine
from retinue.app.keys import open_keyring
from retinue.app.money import money_controllers
from retinue.app.sealed import check_sealed
from retinue.app.tools import open_registry
from retinue.coordination.registry import connect
from retinue.db.session import Database
from retinue.domain.ids import new_id
from retinue.egress import EgressPolicy, make_client
from retinue.http.attendance import Attendance
from retinue.http.controllers import bound
from retinue.http.idempotency import Once
from retinue.http.openapi import ApiInfo, OpenApiController
from retinue.http.options import name_every_method
from retinue.http.problems import exception_handlers
from retinue.http.rate_limit import RequestMeter
from retinue.http.requests import EdgeRequest
from retinue.http.sse import StreamSettings
from retinue.observability.exposition import Exposition
from retinue.observability.lag import LagMonitor
from retinue.observability.readiness import Readiness
from retinue.observability.redaction import Redactor
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol
from retinue.protocols.registry import ProtocolRegistry
from retinue.providers.anthropic import AnthropicFactory
from retinue.providers.openai import OpenAIFactory
from retinue.providers.pricing import read_lists
from retinue.providers.registry import ProviderFactory, ProviderRegistry
from retinue.providers.scripted import ScriptedFactory
from retinue.providers.upstream import CallLimits
from retinue.resources.approvals.controller import ApprovalController
from retinue.resources.approvals.service import ApprovalService
from retinue.resources.audit.controller import AuditController
from retinue.resources.audit.service import AuditService
from retinue.resources.conversations.controller import ConversationController
from retinue.resources.conversations.service import ConversationService
from retinue.resources.employees.controller import EmployeeController
from retinue.resources.employees.service import EmployeeService
from retinue.resources.health.controller import HealthController
from retinue.resources.messages.controller import MessageController
from retinue.resources.messages.service import MessageService
from retinue.resources.runs.controller import ConversationRunController, RunController
from retinue.resources.runs.resuming.controller import ResumingController
from retinue.resources.runs.resuming.service import ResumingService
from retinue.resources.runs.service import RunAccess
from retinue.resources.tenants.config.controller import ConfigController
from retinue.resources.tenants.config.service import ConfigService
from retinue.resources.tenants.controller import TenantController
from retinue.resources.tenants.limits.controller import LimitsController
from retinue.resources.tenants.limits.service import LimitsService
from retinue.resources.tenants.service import TenantService
from retinue.resources.tools.controller import ToolController
from retinue.security.tenancy import Tenancy
from retinue.settings import Settings
from retinue.tools.base import Tool

UNBOUND_CONNECTIONS = 3
"""On PostgreSQL, besides `database.pool_size`: for whose an object is, and for what the operator asks."""
RESERVED_CONNECTIONS = 2
"""On PostgreSQL, of each of its two users: for leases, events and the search for lost runs."""

TAGS = {
    "tenants": "Tenants and their model providers.",
    "access": "Keys, tokens for browsers, and the pages that may use them.",
    "employees": "AI employees: persona, permission, model.",
    "conversations": "Conversations between a user and an employee.",
    "messages": "What is said, and answers as streams.",
    "runs": "Answers as records: follow, list and cancel them.",
    "tools": "What employees can do.",
    "approvals": "Calls that a person has to allow.",
    "usage": "What was used, and what it has cost.",
    "audit": "Who did what: chained, and checkable.",
    "health": "Whether this process lives and is ready.",
}


class Application:
    """One process's worth of Retinue, ready to be served."""

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        *,
        place: Callable[[], str | None] = lambda: None,
        tools: Iterable[Tool[Any]] = (),
    ) -> None:
        """
        Args:
            tools: what employees can be given besides Retinue's own tools.
            place: what is wrong with this process's place among others; see `observability.readiness`.
        """
        process = str(new_id())
        self._settings = settings
        self._database = _connect(settings, settings.database.pool_size, UNBOUND_CONNECTIONS)
        self._reserved = (
            self._database
            if self._database.is_sqlite
            else _connect(settings, RESERVED_CONNECTIONS, RESERVED_CONNECTIONS)
        )
        self._keyring = open_keyring(settings)
        self._keyring.on_secret = redactor.add
        policy = EgressPolicy(allow=frozenset(settings.egress.allow))
        self._http = make_client(policy, connect_timeout=settings.provider.connect_seconds)
        self._providers = _providers(settings, self._http, policy)
        self._tools = open_registry(settings, database=self._database, http=self._http, policy=policy, further=tools)
        self._protocols = ProtocolRegistry([MessagesProtocol(), EventsProtocol()])
        self._coordination = connect(settings.coordination.url, process=process)
        self._engine = Engine(
            settings,
            process=process,
            database=self._database,
            reserved=self._reserved,
            keyring=self._keyring,
            providers=self._providers,
            tools=self._tools,
            coordination=self._coordination,
        )
        self.supervisor = self._engine.supervisor
        self._lag = LagMonitor()
        self._readiness = Readiness(
            is_draining=lambda: self.supervisor.is_draining,
            ping=self._reserved.ping,
            place=place,
            load=lambda: self.supervisor.load,
            max_load=settings.readiness.max_load,
            lag=self._lag,
            max_lag_ms=settings.readiness.max_lag_ms,
            coordination=lambda: self._coordination.is_healthy,
        )
        self.metrics = Exposition(
            active_runs=lambda: self.supervisor.active_count,
            lag_ms=lambda: self._lag.milliseconds,
            pools={"requests": self._database.connections, "own": self._reserved.connections},
            pending_approvals=self._pending_approvals,
        )
        attendance = Attendance(max(int(settings.limits.connections * settings.runs.tenant_share), 1))
        meter = RequestMeter(self._coordination.rates, self._engine.limits, attendance)
        self._access = Access(settings, self._database, self._keyring, meter)
        self.litestar = self._litestar()
        name_every_method(self.litestar)
        self.asgi: ASGIApp = self._access.edge(self.litestar)

    async def _pending_approvals(self) -> int:
        async with self._reserved.operator(read_only=True) as operator:
            return await operator.count_pending_approvals()

    async def check(self) -> None:
        """Be ready to serve. Raises: MasterKeyMissing, Unavailable, StorageFailed: it must not; see `app.sealed`."""
        await check_sealed(self._reserved, self._keyring)
        read_lists()

    async def drain(self, grace_seconds: float) -> None:
        """Take nothing new, let runs finish for the grace period, hand the rest over, then let every stream go."""
        await self._engine.drain(grace_seconds)

    def _litestar(self) -> Litestar:
        return Litestar(
            route_handlers=[
                Router("/api/v1", route_handlers=self._controllers()),
                bound(OpenApiController, info=self._api_info()),
            ],
            guards=[self._access.guard],
            request_class=EdgeRequest,
            exception_handlers=exception_handlers(),
            lifespan=[self._background],
            openapi_config=None,
            logging_config=None,
        )

    def _controllers(self) -> list[type[Controller]]:
        database, tenancy = self._database, Tenancy(self._database)
        limits = self._settings.limits.run_limits()
        runs = self._engine.runs
        streaming = msgspec.structs.replace(_stream_settings(self._settings), watch=self._access.watch.over)
        once = Once(keep_seconds=self._settings.retention.idempotency_seconds)
        access = RunAccess(database=database, tenancy=tenancy, runs=runs)
        messages = MessageService(
            database=database,
            tenancy=tenancy,
            runs=runs,
            content_chars=self._settings.limits.content_chars,
        )
        approvals = self._engine.approvals
        resuming = ResumingService(database=database, tenancy=tenancy, runs=runs, approvals=approvals, once=once)
        streams = {"protocols": self._protocols, "streaming": streaming}
        return [
            bound(HealthController, check=self._readiness),
            bound(
                TenantController,
                tenants=TenantService(database, runs.cancel_tenant, once, runs.tell_tenant_deleted),
            ),
            bound(LimitsController, limits=LimitsService(database, self._engine.limits)),
            bound(ConfigController, configs=ConfigService(database, self._keyring, self._providers, limits, once)),
            bound(EmployeeController, employees=EmployeeService(database, tenancy, self._tools.names, limits, once)),
            bound(
                ConversationController,
                conversations=ConversationService(
                    database,
                    tenancy,
                    cancel_conversation=runs.cancel_conversation,
                    tell=runs.tell,
                    turnstile=self._engine.turnstile,
                    once=once,
                ),
            ),
            bound(MessageController, messages=messages, **streams),
            bound(RunController, runs=access, **streams),
            bound(ConversationRunController, runs=access, **streams),
            bound(ResumingController, resuming=resuming, **streams),
            bound(ApprovalController, approvals=ApprovalService(database, tenancy, approvals, once)),
            bound(ToolController, tools=self._tools),
            bound(AuditController, audit=AuditService(database)),
            *money_controllers(database, once, self._providers.names),
            *self._access.controllers(once),
        ]

    def _api_info(self) -> ApiInfo:
        frames: list[type[msgspec.Struct]] = [frame for protocol in self._protocols for frame in protocol.frames]
        return ApiInfo(
            title="Retinue",
            version=__version__,
            description="AI employees for every tenant: durable, streamed, auditable runs over HTTP.",
            tags=TAGS,
            events=tuple(frames),
        )

    @asynccontextmanager
    async def _background(self, _: Litestar) -> AsyncGenerator[None, None]:
        await self._access.start()
        await self._engine.start()
        jobs = [asyncio.create_task(work, name=name) for name, work in self._access.jobs().items()]
        lag = asyncio.create_task(self._lag.run(), name="lag")
        try:
            yield
        finally:
            # Nothing is left to drain after an orderly stop; a host that only knows lifespans gets here first.
            await self.drain(0)
            for task in (lag, *jobs):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self._access.book.write_uses()
            await self._engine.aclose()
            await self._providers.aclose()
            await self._database.aclose()
            await self._reserved.aclose()


def _connect(settings: Settings, pool_size: int, jobs_pool_size: int) -> Database:
    return Database.connect(
        settings.database.url,
        jobs_url=settings.database.jobs_url,
        pool_size=pool_size,
        jobs_pool_size=jobs_pool_size,
        command_timeout=settings.database.command_timeout,
    )


def _providers(settings: Settings, http: httpx2.AsyncClient, policy: EgressPolicy) -> ProviderRegistry:
    limits = CallLimits(deadlines=settings.provider.deadlines(), caps=settings.provider.byte_caps())
    factories: dict[str, ProviderFactory] = {
        "openai": OpenAIFactory(http, policy, limits),
        "anthropic": AnthropicFactory(http, policy, limits),
        "scripted": ScriptedFactory(),
    }
    return ProviderRegistry(factories, http=http)


def _stream_settings(settings: Settings) -> StreamSettings:
    stream = settings.stream
    return StreamSettings(
        ping_seconds=stream.ping_seconds,
        send_timeout=stream.send_timeout_seconds,
        chunk_bytes=stream.max_chunk_bytes,
        retry_ms=stream.retry_ms,
    )
