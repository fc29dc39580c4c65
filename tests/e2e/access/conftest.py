"""Servers that look after their streams all the time."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.servers import Replicas, one_server, two_servers
from tests.e2e.streams.talk import hire
from tests.support.client import RetinueClient
from tests.support.databases import DIALECTS
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream, upstream_in_thread

QUICK = {"TESTS_TOOLS": "tests.e2e.access.quick"}


@pytest.fixture(scope="session")
def fake() -> Iterator[ThreadedUpstream]:
    with upstream_in_thread() as running:
        yield running


@pytest.fixture
def upstream(fake: ThreadedUpstream) -> Iterator[ThreadedUpstream]:
    fake.reset()
    yield fake
    fake.check()


@pytest.fixture(scope="module", params=DIALECTS)
def server(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    with one_server(request, request.param, **QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def replicas(request: pytest.FixtureRequest) -> Iterator[Replicas]:
    with two_servers(request, **QUICK) as pair:
        yield pair


class Key(NamedTuple):
    id: str
    client: RetinueClient


class Office(NamedTuple):
    """A tenant whose employee asks the fake model."""

    server: ForkedServer
    operator: RetinueClient
    conversation: Conversation

    @property
    def tenant(self) -> UUID:
        return self.conversation.tenant_id

    def client(self, credential: str, *, at: ForkedServer | None = None) -> RetinueClient:
        return RetinueClient((at or self.server).address, credential)

    async def key(self, role: str = "member") -> Key:
        answer = await self.operator.post(f"/tenants/{self.tenant}/api-keys", {"name": role, "role": role})
        made = answer.expect(201).json
        return Key(made["id"], self.client(made["key"]))

    async def revoke(self, key: Key) -> None:
        (await self.operator.delete(f"/tenants/{self.tenant}/api-keys/{key.id}")).expect(204)

    async def token(self, key: Key, **fields: Any) -> str:
        body = {"user_id": self.conversation.user_id, **fields}
        return str((await key.client.post(f"/tenants/{self.tenant}/user-tokens", body)).expect(201).json["token"])

    async def more(self) -> Conversation:
        return await self.operator.create_conversation(self.tenant, self.conversation.employee_id)


async def open_office(server: ForkedServer, upstream: ThreadedUpstream) -> Office:
    client = server.client()
    return Office(server, client, await hire(client, upstream))


@pytest.fixture
async def office(server: ForkedServer, upstream: ThreadedUpstream) -> Office:
    return await open_office(server, upstream)
