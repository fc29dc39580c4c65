"""Master keys are rotated while everything goes on, and afterwards the old one is not needed."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.secrets.keys import NEW, OLD, listed, restart, rotate_keys
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import KEY, check_stream, hire
from tests.support.client import RetinueClient
from tests.support.databases import DIALECTS, Dialect, fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.redis import RedisServer
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

STREAMS, TOKENS, BETWEEN_MS = 50, 60, 40


@pytest.fixture(params=DIALECTS)
def server(
    request: pytest.FixtureRequest, template: Template, upstream: ThreadedUpstream, tmp_path: Path
) -> Iterator[ForkedServer]:
    dialect: Dialect = request.param
    with fresh_database(request, dialect, tmp_path, template="migrated_template") as url:
        environment = environment_for(url, allow=upstream.address, **listed(OLD))
        with forked_retinue(template, tmp_path, environment) as server:
            yield server


async def test_fifty_streams_do_not_notice(
    server: ForkedServer, template: Template, upstream: ThreadedUpstream, tmp_path: Path
) -> None:
    client = server.client()
    model = f"tokens-{TOKENS}-{BETWEEN_MS}ms"
    conversations = [await hire(client, upstream, model=model) for _ in range(STREAMS)]
    await restart(server, OLD, NEW)
    await restart(server, NEW, OLD)
    told = await rotate_keys(template, tmp_path, server.environment, "--check")
    assert told.status == 1, "the old key is needed"
    # The 50 keys, and what keys and tokens of tenants are checked with.
    assert f"Of {STREAMS + 2} sealed values, {STREAMS + 2} need an older master key, and 0 one" in told.text
    async with asyncio.timeout(60), AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(await client.stream(each.id, "Hello")) for each in conversations]
        for stream in streams:
            await stream.until("token")
        reading = asyncio.gather(*(stream.rest() for stream in streams))
        writing = asyncio.create_task(_keep_changing(client, upstream, conversations[0], until=reading))
        told = await rotate_keys(template, tmp_path, server.environment)
        assert not reading.done(), "all of it was under load"
        frames = await reading
        changes = await writing
    assert (told.status, "0 could not be opened" in told.text) == (0, True), told.text
    assert changes > 3
    for number, rest in enumerate(frames):
        kinds = [frame.event for frame in rest]
        assert (kinds[-1], kinds.count("token")) == ("message_end", TOKENS - 1), number
        assert rest[-1].json["status"] == "completed"
    told = await rotate_keys(template, tmp_path, server.environment, "--check")
    assert told.status == 0, told.text
    await restart(server, NEW)
    for each in (conversations[0], conversations[-1]):
        answer = await client.ask(each.id, "Once more")
        assert answer.text == tokens(TOKENS).text
        assert upstream.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert "Traceback" not in server.output


async def _keep_changing(
    client: RetinueClient, upstream: ThreadedUpstream, one: Conversation, *, until: "asyncio.Future[Any]"
) -> int:
    """Write configurations and open keys for as long as the streams go on; every request must succeed."""
    changes = 0
    while not until.done():
        fields = {"llm_base_url": upstream.openai_url, "llm_api_key": KEY}
        await client.configure(one.tenant_id, "openai", f"tokens-{TOKENS}-{BETWEEN_MS}ms", **fields)
        checked = (await client.post(f"/tenants/{one.tenant_id}/config/check")).expect(200).json
        assert checked["ok"], checked
        changes += 1
    return changes


async def test_what_cannot_be_opened_is_named_and_fails(
    server: ForkedServer, template: Template, upstream: ThreadedUpstream, tmp_path: Path
) -> None:
    client = server.client()
    lost = await hire(client, upstream)
    await restart(server, NEW, OLD)
    kept = await hire(client, upstream)
    await rotate_keys(template, tmp_path, server.environment)
    told = await rotate_keys(template, tmp_path, server.environment | listed("k3", NEW))
    assert (told.status, "0 could not be opened" in told.text) == (0, True)
    stale = await rotate_keys(template, tmp_path, server.environment | listed(NEW, OLD))
    assert stale.status == 1
    assert "4 could not be opened" in stale.text
    for each in (lost, kept):
        assert f"tenant_configs {each.tenant_id}: its master key is not in the list" in stale.text
    assert KEY not in stale.text
    checked = await rotate_keys(template, tmp_path, server.environment | listed(NEW, OLD), "--check")
    assert checked.status == 1
    assert "0 need an older master key, and 4 one that is not in the list" in checked.text


@pytest.fixture
def replicas(
    request: pytest.FixtureRequest,
    template: Template,
    upstream: ThreadedUpstream,
    shared_redis: RedisServer,
    tmp_path: Path,
) -> Iterator[Replicas]:
    with _two(request, template, upstream, shared_redis, tmp_path) as pair:
        yield pair


@contextmanager
def _two(
    request: pytest.FixtureRequest, template: Template, upstream: ThreadedUpstream, redis: RedisServer, folder: Path
) -> Iterator[Replicas]:
    with fresh_database(request, "postgresql", folder, template="migrated_template") as url:
        environment = environment_for(url, allow=upstream.address, RETINUE_COORDINATION_URL=redis.url, **listed(OLD))
        with (
            forked_retinue(template, folder / "here", dict(environment)) as here,
            forked_retinue(template, folder / "there", dict(environment)) as there,
        ):
            yield Replicas(here, there)


async def _agree(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """What either of them seals, both of them open."""
    for writer in replicas:
        conversation = await hire(writer.client(), upstream)
        for reader in replicas:
            answer = await reader.client().ask(conversation.id, "Hello")
            assert answer.end["status"] == "completed", answer.types
            check_stream(answer.frames)


async def test_replicas_agree_in_every_stage_of_a_roll_out(
    replicas: Replicas, template: Template, upstream: ThreadedUpstream, tmp_path: Path
) -> None:
    """The order that the README tells: behind, in front, rotate, check, take away; one replica after the other."""
    here, there = replicas
    for stage in ((OLD, NEW), (NEW, OLD)):
        await restart(here, *stage)
        await _agree(replicas, upstream)
        await restart(there, *stage)
        await _agree(replicas, upstream)
    told = await rotate_keys(template, tmp_path, here.environment)
    assert told.status == 0, told.text
    assert (await rotate_keys(template, tmp_path, here.environment, "--check")).status == 0
    await restart(here, NEW)
    await _agree(replicas, upstream)
    await restart(there, NEW)
    await _agree(replicas, upstream)


async def test_a_new_key_in_front_before_everybody_knows_it_is_why_there_is_an_order(
    replicas: Replicas, upstream: ThreadedUpstream
) -> None:
    here, there = replicas
    await restart(here, NEW, OLD)
    conversation = await hire(here.client(), upstream)
    refused = await there.client().post_message(conversation.id, "Hello", respond=True)
    refused.problem(500, "unknown_master_key")
    await restart(there, OLD, NEW)
    answer = await there.client().ask(conversation.id, "Hello")
    assert answer.end["status"] == "completed", "nothing was lost"
