"""Whose turn it is, and that nobody waits for one that never comes."""

import asyncio

import pytest

from retinue.server.turn import Turn

DEADLINE = 5


async def test_who_waits_goes_on_when_it_is_his_turn() -> None:
    turn = Turn()
    await turn.clear()
    waiting = asyncio.create_task(turn.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not turn.is_set()
    await turn.set()
    await asyncio.wait_for(waiting, DEADLINE)
    assert turn.is_set()
    await asyncio.wait_for(turn.wait(), DEADLINE)


@pytest.mark.parametrize("is_set", [False, True])
async def test_nobody_waits_for_a_connection_that_is_closed(is_set: bool) -> None:
    turn = Turn()
    waiting = asyncio.create_task(turn.wait())
    await asyncio.sleep(0)
    if is_set:
        await turn.set()
    turn.end()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(waiting, DEADLINE)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(turn.wait(), DEADLINE)


async def test_one_who_is_cancelled_is_forgotten() -> None:
    turn = Turn()
    waiting = asyncio.create_task(turn.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await turn.set()
    await asyncio.wait_for(turn.wait(), DEADLINE)
