"""A process with more clients than it has room for."""

import asyncio
import socket
from contextlib import AsyncExitStack, ExitStack

import pytest

from retinue.domain.tenants import Tenant
from tests.e2e.edges.conftest import CONNECTIONS
from tests.support import http1
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

SHARE = CONNECTIONS // 2


async def key_and_stream(server: ForkedServer) -> tuple[Tenant, str, str]:
    """A tenant, its key, and where a stream of it is that has no end."""
    client = server.client()
    conversation = await client.hire()
    made = await client.post(f"/tenants/{conversation.tenant_id}/api-keys", {"name": "Key", "role": "admin"})
    tenant = (await client.get(f"/tenants/{conversation.tenant_id}")).as_type(Tenant)
    return tenant, made.expect(201).json["key"], f"/api/v1/conversations/{conversation.id}/events"


async def read_on(server: ForkedServer, path: str, key: str) -> http1.Response:
    return await http1.request(server.address, "GET", path, headers={"X-API-Key": key})


def test_those_that_say_nothing_keep_nobody_out(narrow: ForkedServer) -> None:
    host, _, port = narrow.address.rpartition(":")
    with ExitStack() as crowd:
        for _ in range(5 * CONNECTIONS):
            crowd.enter_context(socket.create_connection((host, int(port)), timeout=10))
        assert asyncio.run(narrow.client().get("/health")).status == 200


async def refusal(server: ForkedServer, path: str, key: str) -> http1.Response | None:
    """The answer to one who wants another stream; none if it is a stream."""
    async with await read_on(server, path, key) as answer:
        if answer.status == 200:
            return None
        await answer.read()
        return answer


async def test_one_tenant_does_not_take_all_of_them_with_its_streams(narrow: ForkedServer) -> None:
    _, key, path = await key_and_stream(narrow)
    tenant, other_key, _ = await key_and_stream(narrow)
    async with AsyncExitStack() as streams:
        for _ in range(SHARE):
            assert (await streams.enter_async_context(await read_on(narrow, path, key))).status == 200
        one_more = await refusal(narrow, path, key)
        assert one_more is not None
        assert one_more.status == 429
        assert int(one_more.header("retry-after") or 0) > 0
        assert b"rate_limited" in one_more.body
        other = RetinueClient(narrow.address, other_key)
        (await other.get(f"/tenants/{tenant.id}")).expect(200)
    async with asyncio.timeout(http1.TIMEOUT):
        while await refusal(narrow, path, key):
            continue
