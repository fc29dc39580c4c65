"""A conversation to talk in, with an engine that is told what to answer."""

from typing import Any, NamedTuple
from uuid import UUID

from retinue.db.session import Database
from retinue.domain.idempotency import IdempotencyKey
from retinue.runs.context import RunCreate
from retinue.runs.service import Accepted
from tests.contract.http.api import Client
from tests.contract.http.engine import FakeRuns, a_message, a_run


class Scene(NamedTuple):
    client: Client
    database: Database
    tenant: str
    employee: str
    conversation: str

    @property
    def path(self) -> str:
        return f"/conversations/{self.conversation}/messages"

    @property
    def engine(self) -> FakeRuns:
        return self.client.calls.runs

    async def keep_the_answer(self) -> None:
        """The fake engine stores nothing; what a request that waits for an answer reads in the end is there already."""
        tenant, conversation = UUID(self.tenant), UUID(self.conversation)
        run = a_run(self.tenant, self.conversation, self.employee)
        async with self.database.unit(tenant) as unit:
            message = a_message(tenant, conversation, "Hi")
            await unit.messages.add(message)

        async def start(_tenant: UUID, _conversation: UUID, request: RunCreate, key: IdempotencyKey | None) -> Any:
            self.engine.asked.append(("start", request, key))
            known = a_run(self.tenant, self.conversation, self.employee, id=run.id, message_id=message.id)
            return Accepted(run=known, message_id=known.user_message_id)

        self.engine.start = start  # type: ignore[method-assign, assignment]


async def talk(client: Client, database: Database) -> Scene:
    tenant = await client.tenant()
    employee = (await client.employee(tenant))["id"]
    conversation = (await client.conversation(tenant, employee))["id"]
    return Scene(client, database, tenant, employee, conversation)
