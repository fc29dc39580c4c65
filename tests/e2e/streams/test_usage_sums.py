"""Servers sum up what was used while they serve, and what is told of it stays exact."""

import pytest

from retinue.domain.spending import Grouping
from tests.e2e.streams.servers import Replicas, replicas_with, server_with
from tests.e2e.streams.store import rows
from tests.e2e.streams.talk import check_stream, eventually, hire
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream, calls, tokens

pytestmark = pytest.mark.slow

OFTEN = {"RETINUE_USAGE_SUM_SECONDS": "0.1"}
TURNS = 3


@server_with("sqlite", **OFTEN)
async def test_one_process_sums_up(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    await _check(Replicas(own_server, own_server), upstream)


@replicas_with(**OFTEN)
async def test_two_replicas_sum_up(own_replicas: Replicas, upstream: ThreadedUpstream) -> None:
    await _check(own_replicas, upstream)


async def _check(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    for turn in range(1, TURNS + 1):
        upstream.enqueue(calls("get_weather", '{"city": "Oslo"}'), tokens(3))
        check_stream((await here.ask(conversation.id, "Hello")).frames)
        for grouping in Grouping:
            told = (await there.get(f"/usage?tenant_id={conversation.tenant_id}&group_by={grouping}")).expect(200).json
            assert sum(row["calls"] for row in told) == 2 * turn, grouping
            assert grouping is Grouping.DAY or [row["runs"] for row in told] == [turn], "midnight may come"
        await eventually(lambda: _is_summed(world.here))
    shortest = "SELECT grouping, sum(calls) FROM usage_sums WHERE span % 4 = 0 GROUP BY grouping"
    sums = {grouping: int(calls) for grouping, calls in await rows(world.here, shortest)}
    assert sums == dict.fromkeys(Grouping, 2 * TURNS)


async def _is_summed(server: ForkedServer) -> bool | None:
    return True if not await rows(server, "SELECT id FROM ledger WHERE is_summed IS NULL") else None
