"""The composition root: everything that exists is put together here, and nowhere else."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from litestar import Controller, Litestar, Router
from litestar.types import ASGIApp

from retinue import __version__
from retinue.coordination.base import EventLog
from retinue.coordination.memory import MemoryEventLog
from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from retinue.domain.ids import new_id
from retinue.egress import EgressPolicy, make_client
from retinue.http.controllers import bound
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.openapi import ApiInfo, OpenApiController
from retinue.http.options import name_every_method
from retinue.http.parameters import knows_every_parameter
from retinue.http.problems import exception_handlers
from retinue.http.requests import EdgeRequest
from retinue.http.sse import StreamSettings
from retinue.jobs.leases import keep_leases
from retinue.observability.redaction import Redactor
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol
from retinue.protocols.registry import ProtocolRegistry
from retinue.providers.anthropic import AnthropicFactory
from retinue.providers.openai import OpenAIFactory
from retinue.providers.registry import ProviderFactory, ProviderRegistry
from retinue.providers.retry import settle
from retinue.providers.scripted import ScriptedFactory
from retinue.providers.upstream import CallLimits
from retinue.resources.conversations.controller import ConversationController
from retinue.resources.conversations.service import ConversationService
from retinue.resources.employees.controller import EmployeeController
from retinue.resources.employees.service import EmployeeService
from retinue.resources.health.controller import HealthController
from retinue.resources.messages.controller import MessageController
from retinue.resources.messages.service import MessageService
from retinue.resources.tenants.config.controller import ConfigController
from retinue.resources.tenants.config.service import ConfigService
from retinue.resources.tenants.controller import TenantController
from retinue.resources.tenants.service import TenantService
from retinue.runs.event_writer import EventWriter
from retinue.runs.follow import Follower
from retinue.runs.lease import Lease
from retinue.runs.service import RunService
from retinue.runs.supervisor import Supervisor
from retinue.security.guards import AccessGuard
from retinue.security.tenancy import Tenancy
from retinue.settings import Settings

TOOLS: frozenset[str] = frozenset()
"""Names of the tools that employees can be given."""

TAGS = {
    "tenants": "Tenants and their model providers.",
    "employees": "AI employees: persona, permission, model.",
    "conversations": "Conversations between a user and an employee.",
    "messages": "What is said, and answers as streams.",
    "health": "Whether this process lives and is ready.",
}


class Application:
    """One process's worth of Retinue, ready to be served."""

    def __init__(self, settings: Settings, redactor: Redactor) -> None:
        self._settings = settings
        self._database = Database.connect(
            settings.database.url,
            pool_size=settings.database.pool_size,
            command_timeout=settings.database.command_timeout,
        )
        self._keyring = open_keyring(settings)
        self._keyring.on_secret = redactor.add
        self._providers = _providers(settings)
        self._protocols = ProtocolRegistry([MessagesProtocol(), EventsProtocol()])
        self._log: EventLog = MemoryEventLog()
        self._writer = EventWriter(
            self._database, batch=settings.runs.event_batch, flush_seconds=settings.runs.event_flush_ms / 1000
        )
        self._lease = Lease(owner=str(new_id()), seconds=settings.runs.lease_seconds)
        self._stopping = asyncio.Event()
        self.supervisor = Supervisor(max_active=settings.runs.max_active)
        self._runs = RunService(
            database=self._database,
            keyring=self._keyring,
            providers=self._providers,
            log=self._log,
            writer=self._writer,
            supervisor=self.supervisor,
            follower=Follower(self._database, self._log, self._stopping),
            limits=settings.limits.run_limits(),
            retries=settings.provider.retry_policy(),
            lease=self._lease,
        )
        self.litestar = self._litestar()
        name_every_method(self.litestar)
        self.asgi: ASGIApp = Edge(self.litestar, _edge_limits(settings))

    async def drain(self, grace_seconds: float) -> None:
        """Take nothing new, let runs finish for the grace period, end the rest, then let every stream go."""
        await self.supervisor.drain(grace_seconds)
        await settle()
        self._stopping.set()

    async def aclose(self) -> None:
        """Let go of every connection."""
        await self._log.aclose()
        await self._providers.aclose()
        await self._database.aclose()

    async def readiness(self) -> Sequence[str]:
        """Why this process should get no requests; empty if it should."""
        if self.supervisor.is_draining:
            return ["draining"]
        try:
            await self._database.ping()
        except RetinueError:
            return ["database"]
        return []

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
        messages = MessageService(
            database=database,
            tenancy=tenancy,
            runs=self._runs,
            content_chars=self._settings.limits.content_chars,
        )
        return [
            bound(HealthController, check=self.readiness),
            bound(TenantController, tenants=TenantService(database, self.supervisor.cancel_tenant)),
            bound(ConfigController, configs=ConfigService(database, self._keyring, self._providers, limits)),
            bound(EmployeeController, employees=EmployeeService(database, tenancy, TOOLS, limits)),
            bound(
                ConversationController,
                conversations=ConversationService(database, tenancy, self.supervisor.cancel_conversation),
            ),
            bound(
                MessageController,
                messages=messages,
                protocols=self._protocols,
                streaming=_stream_settings(self._settings),
            ),
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
        tasks = [
            asyncio.create_task(self._writer.run(), name="event-writer"),
            asyncio.create_task(keep_leases(self._database, self._lease, self.supervisor), name="leases"),
        ]
        try:
            yield
        finally:
            # Nothing is left to drain after an orderly stop; a host that only knows lifespans gets here first.
            await self.drain(0)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.aclose()


class KeyFileUnusable(RetinueError):
    """The master key file beside the database cannot be used; the detail says why and shows nothing of it."""


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for other databases."""
    return Path(url.partition(":///")[2].partition("?")[0]) if url.startswith("sqlite") else None


def open_keyring(settings: Settings) -> Keyring:
    """The master keys from the settings; in open mode, where there may be none, a key file beside the database.

    Raises:
        KeyFileUnusable: the file cannot be read or made, others may read it, or it has another form.
    """
    if given := settings.master_keys.get_secret_value():
        return Keyring.parse(given)
    database_file = sqlite_file(settings.database.url)
    assert database_file is not None, "open mode is for SQLite"
    key_file = database_file.parent / "master.key"
    try:
        return Keyring.load_or_create(key_file)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise KeyFileUnusable(f"The master key file {key_file} cannot be used: {reason}.") from None


def _providers(settings: Settings) -> ProviderRegistry:
    policy = EgressPolicy(allow=frozenset(settings.egress.allow))
    limits = CallLimits(deadlines=settings.provider.deadlines(), caps=settings.provider.byte_caps())
    http = make_client(policy, connect_timeout=settings.provider.connect_seconds)
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
    )
