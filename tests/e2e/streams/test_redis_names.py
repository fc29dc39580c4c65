"""What two replicas write into Redis, listened to by Redis itself: every name says whose it is."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from tests.e2e.streams.runs import cancel, follow, runs_of
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import after_tokens, begin, hire
from tests.support.redis import RedisServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

_NAME = re.compile(r"retinue[^\s\"]*")
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OF_TENANT = re.compile(rf"retinue:({_UUID}):.+")
_OF_NOBODY = {
    rf"retinue:wake:{_UUID}": "wakes the reader of one process, and holds nothing",
    r"retinue:processes": "which processes there are",
    r"retinue:\d+:signals": "one channel for all processes; each message names its tenant",
}
_WITHOUT_NAMES = {"ECHO", "PING", "SELECT", "HELLO", "INFO", "MONITOR", "CLIENT", "COMMAND", "SCRIPT", "TIME"}


@contextmanager
def listening(redis: RedisServer) -> Iterator[list[str]]:
    """Every command that reaches the server meanwhile."""
    heard: list[str] = []
    has_begun = threading.Event()

    def listen() -> None:
        with redis.client() as client, client.monitor() as monitor:  # type: ignore[no-untyped-call]
            has_begun.set()
            for command in monitor.listen():
                heard.append(command["command"])
                if command["command"].startswith("ECHO"):
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert has_begun.wait(10)
    try:
        yield heard
    finally:
        with redis.client() as client:
            client.echo("enough")
        thread.join(10)


async def test_every_key_and_every_message_names_its_tenant(
    replicas: Replicas, upstream: ThreadedUpstream, shared_redis: RedisServer
) -> None:
    here, there = (replica.client() for replica in replicas)
    async with AsyncExitStack() as stack:
        heard = stack.enter_context(listening(shared_redis))
        neighbours = await hire(there, upstream)
        upstream.enqueue(tokens(3))
        await (await stack.enter_async_context(await begin(there, neighbours.id))).rest()
        conversation = await hire(here, upstream)
        upstream.enqueue(tokens(9).hold(3))
        original = await stack.enter_async_context(await begin(here, conversation.id))
        await after_tokens(original, 2)
        run = (await runs_of(here, conversation.id))[0]
        reader = await stack.enter_async_context(await follow(there, f"/runs/{run.id}/stream"))
        await after_tokens(reader, 2)
        waiting = await stack.enter_async_context(await begin(there, conversation.id, "And then?", on_busy="enqueue"))
        (await cancel(there, run.id)).expect(200)
        upstream.release()
        await asyncio.gather(original.rest(), reader.rest(), waiting.rest())
    tenants = {str(conversation.tenant_id), str(neighbours.tenant_id)}
    names = [(command, name) for command in heard for name in _NAME.findall(command)]
    owned = [(command, found[1]) for command, name in names if (found := _OF_TENANT.fullmatch(name))]
    rest = {name for _, name in names if not _OF_TENANT.fullmatch(name)}
    assert {name for name in rest if not any(re.fullmatch(known, name) for known in _OF_NOBODY)} == set()
    assert {tenant for _, tenant in owned} >= tenants
    kinds = {re.sub(_UUID, "*", name) for _, name in names}
    assert {"retinue:*:run:*", "retinue:wake:*"} <= kinds
    nameless = {command.split()[0] for command in heard if not _NAME.search(command)}
    assert nameless <= _WITHOUT_NAMES
    messages = [command for command in heard if command.startswith("PUBLISH")]
    assert messages
    assert all(re.search(rf'tenant_id\\*":\\*"({"|".join(tenants)})', message) for message in messages)
