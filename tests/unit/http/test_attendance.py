"""Requests of one tenant that are answered at the same time."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from retinue.domain.errors import RateLimited
from retinue.domain.ids import new_id
from retinue.http.attendance import USERS_SHARE, Attendance
from retinue.http.middleware import Edge
from tests.unit.http.conftest import LIMITS

MOST = 2
DEADLINE = 5.0
"""So that one who is let in by mistake fails the test."""
NOISY, QUIET = new_id(), new_id()


class House:
    """An edge whose application lets a request in and answers when it is told to."""

    def __init__(self, most: int = MOST) -> None:
        self.release = asyncio.Event()
        self.attendance = Attendance(most)

    async def app(self, scope: Any, _receive: Any, send: Any) -> None:
        user = scope["query_string"].decode() if scope["query_string"].startswith(b"u") else None
        self.attendance.enter(scope, UUID(scope["path"][1:]), user)
        async with asyncio.timeout(DEADLINE):
            await self.release.wait()
        if scope["query_string"] == b"fails":
            raise ValueError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def ask(self, tenant: UUID, query: bytes = b"") -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope: Any = {"type": "http", "method": "GET", "path": f"/{tenant}", "query_string": query, "headers": []}
        await Edge(self.app, LIMITS)(scope, receive, send)
        status: int = sent[0]["status"]
        return status


@pytest.mark.parametrize("query", [b"", b"fails"])
async def test_a_tenant_that_has_enough_gets_no_more_until_one_has_ended(query: bytes) -> None:
    house = House()
    held = [asyncio.create_task(house.ask(NOISY, query)) for _ in range(MOST)]
    await asyncio.sleep(0)
    assert [await house.ask(NOISY) for _ in range(2)] == [429, 429]
    other = asyncio.create_task(house.ask(QUIET))
    await asyncio.sleep(0)
    house.release.set()
    assert await asyncio.gather(*held, other) == [200 if query == b"" else 500] * MOST + [200]
    assert await asyncio.gather(*(house.ask(NOISY) for _ in range(MOST))) == [200] * MOST


async def test_who_breaks_off_leaves_his_place() -> None:
    house = House()
    held = [asyncio.create_task(house.ask(NOISY)) for _ in range(MOST)]
    await asyncio.sleep(0)
    held[0].cancel()
    await asyncio.wait([held[0]])
    house.release.set()
    assert [*await asyncio.gather(held[1], house.ask(NOISY))] == [200, 200]


async def test_one_user_of_many_has_not_all_places_of_the_tenant() -> None:
    house = House(2 * USERS_SHARE)
    held = [asyncio.create_task(house.ask(NOISY, b"u1")) for _ in range(2)]
    await asyncio.sleep(0)
    assert await house.ask(NOISY, b"u1") == 429
    others = [asyncio.create_task(house.ask(*who)) for who in ((NOISY, b"u2"), (QUIET, b"u1"), (NOISY, b""))]
    await asyncio.sleep(0)
    house.release.set()
    assert [*await asyncio.gather(*held, *others)] == [200] * 5
    assert await house.ask(NOISY, b"u1") == 200


def test_nobody_is_remembered_who_has_gone() -> None:
    attendance = Attendance(1)
    scope: Any = {"state": {}}
    attendance.enter(scope, NOISY, "ada")
    another: Any = {"state": {}}
    with pytest.raises(RateLimited):
        attendance.enter(another, NOISY)
    scope["state"]["leave"]()
    assert not attendance._present
