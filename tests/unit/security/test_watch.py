"""Open streams end with the credentials that opened them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from retinue.domain.errors import AccessEnded, Unavailable
from retinue.domain.ids import new_id
from retinue.security import watch as watching
from retinue.security.principal import ANONYMOUS, OPERATOR, Principal
from retinue.security.watch import StreamWatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = new_id()


class Book:
    """Knows which keys are live."""

    def __init__(self) -> None:
        self.ended: set[UUID] = set()
        self.asked: list[frozenset[UUID]] = []
        self.heard: asyncio.Queue[None] = asyncio.Queue()
        self.failure: Exception | None = None

    async def live_keys(self, key_ids: Collection[UUID]) -> frozenset[UUID]:
        self.asked.append(frozenset(key_ids))
        self.heard.put_nowait(None)
        if self.failure is not None:
            raise self.failure
        return frozenset(key_ids) - self.ended


class World:
    def __init__(self) -> None:
        self.book, self.now = Book(), NOON
        book: Any = self.book
        self.watch = StreamWatch(book, lambda: self.now)


@pytest.fixture
async def world() -> World:
    return World()


def holder(key_id: UUID | None = None, *, seconds: float | None = None) -> Principal:
    return Principal(
        kind="key" if seconds is None else "user",
        scopes=frozenset(),
        tenant_id=TENANT,
        key_id=key_id or new_id(),
        expires_at=None if seconds is None else NOON + timedelta(seconds=seconds),
    )


@asynccontextmanager
async def reading(world: World, *principals: Any) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Streams that would never end by themselves."""
    tasks = [asyncio.create_task(_read(world, principal)) for principal in principals]
    await asyncio.sleep(0)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _read(world: World, principal: Any) -> None:
    async with world.watch.over(principal):
        await asyncio.Event().wait()


async def ended(task: "asyncio.Task[None]") -> bool:
    """Whether it was let out; it had the time."""
    for _ in range(10):
        await asyncio.sleep(0)
    return task.done() and isinstance(task.exception(), AccessEnded)


async def test_a_revoked_key_loses_its_streams_and_nobody_else(world: World) -> None:
    key_id = new_id()
    async with reading(world, holder(key_id), holder(key_id, seconds=900), holder()) as (of_key, of_token, other):
        await world.watch.look()
        assert not any([await ended(task) for task in (of_key, of_token, other)])
        world.book.ended.add(key_id)
        await world.watch.look()
        assert [await ended(task) for task in (of_key, of_token, other)] == [True, True, False]
        assert len(world.watch._open) == 1


async def test_a_key_is_asked_about_once_for_all_its_streams(world: World) -> None:
    keys = [new_id() for _ in range(3)]
    async with reading(world, *(holder(key_id) for key_id in keys for _ in range(50))):
        await world.watch.look()
    assert world.book.asked == [frozenset(keys)]


async def test_without_streams_nobody_is_asked(world: World) -> None:
    await world.watch.look()
    assert world.book.asked == []


async def test_an_expired_token_loses_its_stream(world: World) -> None:
    key_id = new_id()
    async with reading(world, holder(key_id, seconds=10), holder(key_id, seconds=11), holder(key_id)) as tasks:
        world.now += timedelta(seconds=10)
        await world.watch.look()
        assert [await ended(task) for task in tasks] == [True, False, False]


async def test_an_expired_token_loses_its_stream_also_without_a_database(world: World) -> None:
    world.book.failure = Unavailable()
    async with reading(world, holder(seconds=10), holder(seconds=1000)) as (expired, other):
        world.now += timedelta(seconds=10)
        with pytest.raises(Unavailable):
            await world.watch.look()
        assert [await ended(task) for task in (expired, other)] == [True, False]


async def test_nobody_is_let_out_because_the_database_is_silent(world: World) -> None:
    async with reading(world, holder()) as (task,):
        world.book.failure = Unavailable()
        with pytest.raises(Unavailable):
            await world.watch.look()
        assert not await ended(task)


@pytest.mark.parametrize("principal", [OPERATOR, ANONYMOUS, None])
async def test_who_has_no_key_of_a_tenant_is_not_looked_after(world: World, principal: Any) -> None:
    async with reading(world, principal) as (task,):
        await world.watch.look()
        assert not task.done()
        assert world.watch._open == {}


async def test_a_stream_that_takes_its_time_to_end_is_let_go_once(world: World) -> None:
    key_id = new_id()
    may_end = asyncio.Event()

    async def stubborn() -> None:
        async with world.watch.over(holder(key_id)):
            try:
                await asyncio.Event().wait()
            finally:
                await may_end.wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    world.book.ended.add(key_id)
    for _ in range(3):
        await world.watch.look()
        assert not await ended(task)
    may_end.set()
    assert await ended(task)


async def test_a_stream_that_ends_is_forgotten(world: World) -> None:
    async with world.watch.over(holder()):
        assert len(world.watch._open) == 1
    assert world.watch._open == {}
    with pytest.raises(ZeroDivisionError):
        async with world.watch.over(holder()):
            raise ZeroDivisionError
    assert world.watch._open == {}


async def test_a_timeout_of_the_stream_s_own_stays_one(world: World) -> None:
    with pytest.raises(TimeoutError):
        async with world.watch.over(holder()):
            raise TimeoutError


async def test_a_stream_that_begins_while_keys_are_asked_about_stays(world: World) -> None:
    async with reading(world, holder()):
        looking = asyncio.create_task(world.watch.look())
        async with reading(world, holder()) as (late,):
            await looking
            assert not await ended(late)


async def test_the_watch_survives_whatever_goes_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CHECK_SECONDS", 0)
    key_id = new_id()
    async with reading(world, holder(key_id)) as (task,):
        keeping = asyncio.create_task(world.watch.keep())
        for failure in (Unavailable(), ZeroDivisionError()):
            world.book.failure = failure
            for _ in range(2):
                await asyncio.wait_for(world.book.heard.get(), 5)
        assert not keeping.done()
        world.book.failure = None
        world.book.ended.add(key_id)
        await asyncio.wait({task}, timeout=5)
        assert await ended(task)
        keeping.cancel()
