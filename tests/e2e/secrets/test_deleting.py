"""Deleting a tenant stops what it does, on every replica, and lets nobody in any more."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.e2e.streams.runs import events_of, follow
from tests.e2e.streams.servers import Replicas, two_servers
from tests.e2e.streams.talk import begin, eventually, hire
from tests.support.client import RetinueClient
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

AT_ONCE = 5.0


@pytest.fixture(scope="module")
def replicas(request: pytest.FixtureRequest) -> Iterator[Replicas]:
    with two_servers(request) as pair:
        yield pair


async def key_of(client: RetinueClient, tenant: UUID) -> RetinueClient:
    made = (await client.post(f"/tenants/{tenant}/api-keys", {"name": "k", "role": "admin"})).expect(201)
    return RetinueClient(client.address, made.json["key"])


async def test_a_silent_run_elsewhere_ends_in_an_orderly_way(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in replicas)
    conversation = await hire(here, upstream, model="stall-after-3")
    async with await begin(there, conversation.id) as stream:
        await stream.until("token")
        deleting = asyncio.create_task(here.delete(f"/tenants/{conversation.tenant_id}"))
        async with asyncio.timeout(AT_ONCE):
            rest = await stream.rest()
        (await deleting).expect(204)
    assert (rest[-1].event, rest[-1].json["status"]) == ("message_end", "cancelled")
    await eventually(lambda: _closed(upstream))


async def _closed(upstream: ThreadedUpstream) -> bool | None:
    return upstream.requests[-1].closed_at is not None or None


async def test_whoever_follows_a_conversation_is_cut_off(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in replicas)
    conversation = await hire(here, upstream)
    async with await follow(there, events_of(conversation), protocol="events") as watching:
        await here.ask(conversation.id, "Hello")
        await watching.until("run.completed")
        (await here.delete(f"/tenants/{conversation.tenant_id}")).expect(204)
        async with asyncio.timeout(AT_ONCE):
            with pytest.raises(AssertionError, match="the stream was cut"):
                await watching.rest()


async def test_its_keys_open_nothing_on_any_replica(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """Not even for the moment in which a replica still believes in them: then there is nothing to be seen."""
    here, there = (server.client() for server in replicas)
    conversation = await hire(here, upstream)
    own = await key_of(here, conversation.tenant_id)
    elsewhere = RetinueClient(there.address, own.headers["authorization"].removeprefix("Bearer "))
    paths = (f"/conversations/{conversation.id}", f"/tenants/{conversation.tenant_id}", "/conversations", "/employees")
    for path in paths:
        (await elsewhere.get(path)).expect(200)
    (await here.delete(f"/tenants/{conversation.tenant_id}")).expect(204)
    for client in (own, elsewhere):
        for path in paths:
            answer = await client.get(path)
            assert answer.status in {401, 404} or answer.json == [], (path, answer)
        refused = await client.post_message(conversation.id, "Hello")
        assert refused.status in {401, 404}, refused

    async def dead() -> bool | None:
        return (await elsewhere.get("/employees")).status == 401 or None

    await eventually(dead, within=AT_ONCE)


async def test_what_began_meanwhile_is_stopped(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """Runs that begin between the cancelling and the deletion."""
    here, there = (server.client() for server in replicas)
    conversation = await hire(here, upstream, model="tokens-400-50ms")
    others = [await there.create_conversation(conversation.tenant_id, conversation.employee_id) for _ in range(8)]

    async def keep_asking(one: UUID) -> None:
        while (await there.post_message(one, "Hello", respond=True)).status not in {401, 404}:
            pass

    asking = [asyncio.create_task(keep_asking(other.id)) for other in others]
    await eventually(lambda: _asked(upstream, len(others)))
    (await here.delete(f"/tenants/{conversation.tenant_id}")).expect(204)
    async with asyncio.timeout(AT_ONCE):
        await asyncio.gather(*asking)
    await eventually(lambda: _all_closed(upstream), within=AT_ONCE)


async def _asked(upstream: ThreadedUpstream, count: int) -> bool | None:
    return len(upstream.requests) >= count or None


async def _all_closed(upstream: ThreadedUpstream) -> bool | None:
    return all(request.closed_at is not None for request in list(upstream.requests)) or None
