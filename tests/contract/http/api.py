"""The resources of this suite, put together the way the product does, without an engine behind them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx2
from litestar import Litestar, Router

from retinue.app.money import money_controllers
from retinue.db.session import Database
from retinue.domain.limits import Bounds, Limits
from retinue.domain.policy import RunLimits
from retinue.http.controllers import bound
from retinue.http.idempotency import Once
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.openapi import ApiInfo, OpenApiController
from retinue.http.problems import exception_handlers
from retinue.http.requests import EdgeRequest
from retinue.http.sse import StreamSettings
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol
from retinue.protocols.registry import ProtocolRegistry
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
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.turnstile import Turnstile
from retinue.security.tenancy import Tenancy
from retinue.tools.registry import ToolRegistry
from tests.contract.http.approving import FakeApprovals
from tests.contract.http.door import KEYRING, Door
from tests.contract.http.engine import FakeRuns
from tests.contract.http.tools import Lookup

DEFAULT_LIMITS = Limits(tenant=Bounds(requests_per_minute=600), user=Bounds(concurrent_runs=2))
PROTOCOLS = ProtocolRegistry([MessagesProtocol(), EventsProtocol()])
INFO = ApiInfo(
    title="Retinue",
    version="0",
    description="AI employees for every tenant.",
    tags={
        "tenants": "Tenants",
        "access": "Access",
        "employees": "Employees",
        "conversations": "Conversations",
        "messages": "Messages",
        "runs": "Runs",
        "approvals": "Approvals",
        "tools": "Tools",
        "usage": "Usage",
        "audit": "Audit",
        "health": "Health",
    },
)


class Health:
    """What the process says about itself."""

    def __init__(self) -> None:
        self.found: Sequence[str] = ()
        self.worse: Sequence[str] = ()

    async def reasons(self) -> Sequence[str]:
        return self.found

    def degraded(self) -> Sequence[str]:
        return self.worse


class Calls:
    """What the resources asked of the world outside."""

    def __init__(self) -> None:
        self.cancelled: list[tuple[UUID, ...]] = []
        self.deleted: list[UUID] = []
        self.told: list[tuple[UUID, UUID]] = []
        self.health = Health()
        self.runs = FakeRuns()
        self.approvals = FakeApprovals()

    async def cancel_conversation(self, tenant_id: UUID, conversation_id: UUID) -> None:
        self.cancelled.append((tenant_id, conversation_id))

    def tell(self, tenant_id: UUID, conversation_id: UUID) -> None:
        self.told.append((tenant_id, conversation_id))

    async def cancel_tenant(self, tenant_id: UUID) -> None:
        self.cancelled.append((tenant_id,))


class Client:
    """Calls the API and checks the status."""

    def __init__(self, http: httpx2.AsyncClient, calls: Calls) -> None:
        self.http = http
        self.calls = calls

    async def call(self, method: str, path: str, status: int, **kwargs: Any) -> Any:
        response = await self.http.request(method, f"/api/v1{path}", **kwargs)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    async def problem(self, method: str, path: str, status: int, code: str, **kwargs: Any) -> dict[str, Any]:
        response = await self.http.request(method, f"/api/v1{path}", **kwargs)
        assert response.headers["content-type"] == "application/problem+json", response.text
        problem: dict[str, Any] = response.json()
        assert (response.status_code, problem["code"]) == (status, code), problem
        assert problem["type"] == f"urn:retinue:problem:{code}"
        return problem

    async def tenant(self, slug: str = "acme") -> str:
        tenant = await self.call("POST", "/tenants", 201, json={"name": slug.title(), "slug": slug})
        return str(tenant["id"])

    async def employee(self, tenant: str, **fields: Any) -> dict[str, Any]:
        body = {"tenant_id": tenant, "name": "Ada", "role": "assistant", "system_prompt": "Help.", **fields}
        employee: dict[str, Any] = await self.call("POST", "/employees", 201, json=body)
        return employee

    async def conversation(self, tenant: str, employee: str, **fields: Any) -> dict[str, Any]:
        body = {"tenant_id": tenant, "employee_id": employee, "user_id": "user-1", **fields}
        conversation: dict[str, Any] = await self.call("POST", "/conversations", 201, json=body)
        return conversation


def make_litestar(database: Database, providers: Any, calls: Calls, operator_key: str | None = None) -> Litestar:
    tenancy = Tenancy(database)
    once = Once(keep_seconds=60)
    engine: Any = calls.runs
    approvals: Any = calls.approvals
    tools = ToolRegistry([Lookup()])
    messages = MessageService(database=database, tenancy=tenancy, runs=engine, content_chars=1000)
    access = RunAccess(database=database, tenancy=tenancy, runs=engine)
    door = Door(database, operator_key)
    streaming = StreamSettings(ping_seconds=60, watch=door.watch.over)
    streams: dict[str, Any] = {"protocols": PROTOCOLS, "streaming": streaming}
    resources = Router(
        "/api/v1",
        route_handlers=[
            bound(TenantController, tenants=TenantService(database, calls.cancel_tenant, once, calls.deleted.append)),
            bound(LimitsController, limits=LimitsService(database, LimitsBook(database, DEFAULT_LIMITS))),
            bound(ConfigController, configs=ConfigService(database, KEYRING, providers, RunLimits(), once)),
            bound(
                EmployeeController,
                employees=EmployeeService(database, tenancy, tools.names, RunLimits(), once),
            ),
            bound(
                ConversationController,
                conversations=ConversationService(
                    database,
                    tenancy,
                    cancel_conversation=calls.cancel_conversation,
                    tell=calls.tell,
                    turnstile=Turnstile(),
                    once=once,
                ),
            ),
            bound(MessageController, messages=messages, **streams),
            bound(RunController, runs=access, **streams),
            bound(ConversationRunController, runs=access, **streams),
            bound(
                ResumingController,
                resuming=ResumingService(
                    database=database, tenancy=tenancy, runs=engine, approvals=approvals, once=once
                ),
                **streams,
            ),
            bound(ApprovalController, approvals=ApprovalService(database, tenancy, approvals, once)),
            bound(ToolController, tools=tools),
            bound(AuditController, audit=AuditService(database)),
            bound(HealthController, check=calls.health),
            *door.controllers(once),
            *money_controllers(database, once, ["fake"]),
        ],
    )
    return Litestar(
        [resources, bound(OpenApiController, info=INFO)],
        guards=[door.guard],
        exception_handlers=exception_handlers(),
        request_class=EdgeRequest,
        openapi_config=None,
        logging_config=None,
    )


def client_of(app: Litestar) -> httpx2.AsyncClient:
    """Calls the application on the test's own loop, where its database lives."""
    edge: Any = Edge(app, EdgeLimits())
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(edge), base_url="http://localhost")
