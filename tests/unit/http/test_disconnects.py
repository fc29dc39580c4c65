"""A client that goes away while it waits for an answer."""

import asyncio
from contextlib import suppress

from retinue.http.disconnects import watching
from tests.unit.http.exchange import DEADLINE, Connection


async def test_a_client_that_goes_is_noticed_at_once() -> None:
    connection, gone = Connection(), asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        with watching(connection.receive, gone.set):
            connection.disconnect()
            await gone.wait()


async def test_a_client_that_stays_has_not_gone() -> None:
    connection, gone = Connection(), asyncio.Event()
    before = asyncio.all_tasks()
    with watching(connection.receive, gone.set):
        [watcher] = asyncio.all_tasks() - before
        await asyncio.sleep(0)
    connection.disconnect()
    await asyncio.wait([watcher])
    assert watcher.cancelled()
    assert not gone.is_set()


async def test_a_failure_inside_ends_the_watch_too() -> None:
    before = asyncio.all_tasks()
    with suppress(ZeroDivisionError), watching(Connection().receive, lambda: None):
        [watcher] = asyncio.all_tasks() - before
        raise ZeroDivisionError
    await asyncio.wait([watcher])
    assert watcher.cancelled()
