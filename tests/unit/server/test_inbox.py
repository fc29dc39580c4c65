"""What comes for an application, and its end."""

import asyncio
from typing import Any

import pytest

from retinue.server.inbox import Inbox

GONE: Any = {"type": "http.disconnect"}


def piece(number: int) -> Any:
    return {"type": "http.request", "body": b"%d" % number, "more_body": True}


async def test_what_came_is_given_in_order_and_then_the_end() -> None:
    inbox = Inbox(10)
    for message in (piece(1), piece(2), GONE):
        await inbox.put(message)
    assert [await inbox.get() for _ in range(4)] == [piece(1), piece(2), GONE, GONE]


async def test_who_brings_too_much_waits_until_something_is_taken() -> None:
    inbox = Inbox(1)
    await inbox.put(piece(1))
    second = asyncio.create_task(inbox.put(piece(2)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(second), 0.01)
    assert await inbox.get() == piece(1)
    await asyncio.wait_for(second, 5)
    assert await inbox.get() == piece(2)


async def test_the_end_waits_for_nobody_and_lets_go_who_waits() -> None:
    inbox = Inbox(1)
    await inbox.put(piece(1))
    second = asyncio.create_task(inbox.put(piece(2)))
    await asyncio.sleep(0)
    await asyncio.wait_for(inbox.put(GONE), 5)
    await asyncio.wait_for(second, 5)
    await asyncio.wait_for(inbox.put(piece(3)), 5)
    assert [await inbox.get() for _ in range(2)] == [piece(1), GONE]


async def test_who_waits_for_something_hears_of_the_end() -> None:
    inbox = Inbox(1)
    taking = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    await inbox.put(GONE)
    assert await asyncio.wait_for(taking, 5) == GONE
