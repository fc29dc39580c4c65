"""A run that waits for a person."""

from typing import Any, NamedTuple

import httpx2

from retinue.db.session import Database
from retinue.domain.approvals import Approval
from retinue.domain.runs import Run
from tests.contract.http.api import Client
from tests.contract.http.approving import FakeApprovals, an_approval
from tests.contract.http.engine import FakeRuns, a_run


class Waiting(NamedTuple):
    client: Client
    database: Database
    run: Run
    approval: Approval

    @property
    def path(self) -> str:
        return f"/approvals/{self.approval.id}"

    @property
    def run_path(self) -> str:
        return f"/runs/{self.run.id}"

    @property
    def engine(self) -> FakeApprovals:
        return self.client.calls.approvals

    @property
    def runs(self) -> FakeRuns:
        return self.client.calls.runs

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body} if body else {}
        return await self.client.http.post(f"/api/v1{path}", headers=named, **sent)

    async def also_asked(self, **fields: Any) -> Approval:
        """Another question of the same run."""
        return await stored(self.client, self.database, an_approval(self.run, **fields))


async def waiting(client: Client, database: Database, slug: str = "acme") -> Waiting:
    tenant = await client.tenant(slug)
    employee = (await client.employee(tenant))["id"]
    conversation = (await client.conversation(tenant, employee))["id"]
    run = a_run(tenant, conversation, employee, ordinal=1)
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="somebody", lease_seconds=60)
    client.calls.runs.add(run)
    return Waiting(client, database, run, await stored(client, database, an_approval(run)))


async def stored(client: Client, database: Database, approval: Approval) -> Approval:
    async with database.unit(approval.tenant_id) as unit:
        await unit.approvals.add(approval)
    return client.calls.approvals.add(approval)
