"""A process dies before anything of its run's log was stored; whatever becomes of the run, its log has a beginning."""

import asyncio
from uuid import UUID

import pytest

from tests.chaos.books import all_over
from tests.chaos.logs import check_log, events_of, stored_log
from tests.chaos.world import LEASE_SECONDS, PATIENCE, begin, followed, hire
from tests.e2e.streams.runs import script
from tests.e2e.streams.store import execute, rows
from tests.support.databases import fresh_database
from tests.support.forking import Template, forked_retinue
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

SETTINGS = {
    "RETINUE_RUNS_LEASE_SECONDS": str(LEASE_SECONDS),
    # Nothing is stored before the process is killed.
    "RETINUE_RUNS_EVENT_FLUSH_MS": "60000",
}
MEANWHILE = {
    "goes on": "UPDATE runs SET owner = owner",
    "is cancelled": "UPDATE runs SET cancel_requested_at = created_at",
    "has used its attempts": "UPDATE runs SET attempt = 9",
}


@pytest.mark.parametrize("what", MEANWHILE)
async def test_the_log_begins_with_the_run(
    request: pytest.FixtureRequest, template: Template, upstream: ThreadedUpstream, what: str
) -> None:
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    folder = factory.mktemp("early")
    with (
        fresh_database(request, "sqlite", folder) as url,
        forked_retinue(template, folder, environment_for(url, allow=upstream.address, **SETTINGS)) as server,
    ):
        client = server.client()
        conversation = (await hire(client, upstream)).id
        async with await begin(client, conversation, script(tokens(20, between=0.05)), protocol="events") as stream:
            run = (await stream.take(1))[0].json["run_id"]
            server.kill()
            await stream.to_any_end()
        assert not await rows(server, "SELECT first_seq FROM run_events WHERE run_id = {}", UUID(run))
        await execute(server, MEANWHILE[what])
        await asyncio.to_thread(server.start)
        await all_over(server, within=PATIENCE)
        log = await stored_log(client, run)
        end = check_log(log)
        expected = {"goes on": "run.completed", "is cancelled": "run.cancelled"}
        assert end["type"] == expected.get(what, "run.failed")
        async with await followed(client, run, stream.seen[-1].id) as rest:
            assert events_of(await rest.rest()) == log
        async with await followed(client, run, None, "messages") as whole:
            assert (await whole.rest())[0].event == "message_start"
