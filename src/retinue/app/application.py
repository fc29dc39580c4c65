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
from retinue.app.engine import Engine
from retinue.app.keys import open_keyring
from retinue.app.tools import open_registry
from retinue.coordination.registry import connect
from retinue.db.session import Database
from retinue.domain.ids import new_id
from retinue.egress import EgressPolicy, make_client
from retinue.http.controllers import bound
from retinue.http.idempotency import Once
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.openapi import ApiInfo, OpenApiController
from retinue.http.options import name_every_method
from retinue.http.parameters import knows_every_parameter
from retinue.http.problems import exception_handlers
from retinue.http.requests import EdgeRequest
from retinue.http.sse import StreamSettings
from retinue.observability.lag import LagMonitor
from retinue.observability.readiness import Readiness
from retinue.observability.redaction import Redactor
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol
from retinue.protocols.registry import ProtocolRegistry
from retinue.providers.anthropic import AnthropicFactory
from retinue.providers.openai import OpenAIFactory
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
from retinue.resources.tenants.service import TenantService
from retinue.resources.tools.controller import ToolController
from retinue.security.guards import AccessGuard
from retinue.security.tenancy import Tenancy
from retinue.settings import Settings
from retinue.tools.base import Tool

RESERVED_CONNECTIONS = 3
"""For leases, events and the search for lost runs, besides `database.pool_size`."""

TAGS = {
    "tenants": "Tenants and their model providers.",
    "employees": "AI employees: persona, permission, model.",
    "conversations": "Conversations between a user and an employee.",
    "messages": "What is said, and answers as streams.",
    "runs": "Answers as records: follow, list and cancel them.",
    "tools": "What employees can do.",
    "approvals": "Calls that a person has to allow.",
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
        self._database = _connect(settings, pool_size=settings.database.pool_size)
        self._reserved = (
            self._database if self._database.is_sqlite else _connect(settings, pool_size=RESERVED_CONNECTIONS)
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
        self.litestar = self._litestar()
        name_every_method(self.litestar)
        self.asgi: ASGIApp = Edge(self.litestar, _edge_limits(settings))

    async def drain(self, grace_seconds: float) -> None:
        """Take nothing new, let runs finish for the grace period, hand the rest over, then let every stream go."""
        await self._engine.drain(grace_seconds)

    def _litestar(self) -> Litestar:
        operator_key = self._settings.operator_key.get_secret_value() or None
        return Litestar(
            route_handlers=[
                Router("/api/v1", route_handlers=self._controllers()),
                bound(OpenApiController, info=self._api_info()),
            ],
            guards=[AccessGuard(operator_key), knows_every_parameter],
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
        streaming = _stream_settings(self._settings)
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
            bound(TenantController, tenants=TenantService(database, runs.cancel_tenant, once)),
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
        await self._engine.start()
        lag = asyncio.create_task(self._lag.run(), name="lag")
        try:
            yield
        finally:
            # Nothing is left to drain after an orderly stop; a host that only knows lifespans gets here first.
            await self.drain(0)
            lag.cancel()
            with suppress(asyncio.CancelledError):
                await lag
            await self._engine.aclose()
            await self._providers.aclose()
            await self._database.aclose()
            await self._reserved.aclose()


def _connect(settings: Settings, *, pool_size: int) -> Database:
    return Database.connect(
        settings.database.url, pool_size=pool_size, command_timeout=settings.database.command_timeout
    )


def _providers(settings: Settings, http: httpx2.AsyncClient, policy: EgressPolicy) -> ProviderRegistry:
    limits = CallLimits(deadlines=settings.provider.deadlines(), caps=settings.provider.byte_caps())
    factories: dict[str, ProviderFactory] = {
        "openai": OpenAIFactory(http, policy, limits),
        "anthropic": AnthropicFactory(http, policy, limits),
        "scripted": ScriptedFactory(),
    }
    return ProviderRegistry(factories, http=http)


def _edge_limits(settings: Settings) -> EdgeLimits:
    limits = settings.limits
    return EdgeLimits(body_bytes=limits.body_bytes, body_depth=limits.body_depth, body_seconds=limits.body_seconds)


def _stream_settings(settings: Settings) -> StreamSettings:
    stream = settings.stream
    return StreamSettings(
        ping_seconds=stream.ping_seconds,
        send_timeout=stream.send_timeout_seconds,
        chunk_bytes=stream.max_chunk_bytes,
        retry_ms=stream.retry_ms,
    )
