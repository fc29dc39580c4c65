"""A process's place among those that serve one database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from retinue.db import guard as module
from retinue.db.guard import AlreadyServed, Guard, PostgreSQLGuard, Trouble, guarded
from retinue.domain.errors import Unavailable
from tests.support.databases import Postgres

ALONE, TOGETHER = False, True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(module, "COMMAND_SECONDS", 1.0)


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    name = postgres.create()
    yield name
    postgres.drop(name)


@pytest.fixture
def url(postgres: Postgres, name: str) -> str:
    return postgres.url(name)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def until(guard: Guard, trouble: Trouble | None) -> None:
    async with asyncio.timeout(10):
        while guard.trouble != trouble:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("first", "second", "advice"),
    [
        (ALONE, ALONE, "with memory:// it could not be heard"),
        (ALONE, TOGETHER, "A process with memory://"),
        (TOGETHER, ALONE, "with memory:// it could not be heard"),
    ],
)
async def test_a_database_is_served_alone_or_together(url: str, first: bool, second: bool, advice: str) -> None:
    async with guarded(url, is_shared=first):
        with pytest.raises(AlreadyServed, match=advice) as caught:
            async with guarded(url, is_shared=second):
                pass
        assert "RETINUE_COORDINATION_URL" in caught.value.detail
    async with guarded(url, is_shared=second) as guard:
        assert guard.trouble is None


async def test_any_number_serves_together(url: str, stack: AsyncExitStack) -> None:
    for _ in range(3):
        await stack.enter_async_context(guarded(url, is_shared=TOGETHER))


async def test_databases_of_one_server_have_nothing_to_do_with_each_other(postgres: Postgres, url: str) -> None:
    with postgres.database() as other:
        async with guarded(url, is_shared=ALONE), guarded(other, is_shared=ALONE):
            pass


async def test_the_place_of_a_process_that_is_just_ending_is_waited_for(url: str, stack: AsyncExitStack) -> None:
    predecessor = AsyncExitStack()
    await predecessor.enter_async_context(guarded(url, is_shared=ALONE))
    successor = PostgreSQLGuard(url, is_shared=ALONE)
    stack.push_async_callback(successor.aclose)
    taking = asyncio.create_task(successor.take())
    assert not await successor._try()
    await predecessor.aclose()
    await taking


async def test_a_place_lost_with_its_connection_is_taken_again(postgres: Postgres, name: str, url: str) -> None:
    async with guarded(url, is_shared=ALONE) as guard:
        postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        throw_out(postgres, name)
        await until(guard, "database")
        postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await until(guard, None)
        with pytest.raises(AlreadyServed):
            async with guarded(url, is_shared=ALONE):
                pass


async def test_a_place_that_another_one_has_taken_is_noticed(
    postgres: Postgres, name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guarded(url, is_shared=TOGETHER) as guard:
        assert isinstance(guard, PostgreSQLGuard)
        gate, attempt = asyncio.Event(), guard._try

        async def attempt_later() -> bool:
            await gate.wait()
            return await attempt()

        monkeypatch.setattr(guard, "_try", attempt_later)
        throw_out(postgres, name)
        await until(guard, "database")
        async with guarded(url, is_shared=ALONE):
            gate.set()
            await until(guard, "not_alone")
        await until(guard, None)


async def test_an_old_session_of_one_s_own_is_nobody_else(url: str, stack: AsyncExitStack) -> None:
    """As after a broken network: PostgreSQL does not know yet that nobody is behind it."""
    before, after = PostgreSQLGuard(url, is_shared=ALONE), PostgreSQLGuard(url, is_shared=ALONE)
    stack.push_async_callback(before.aclose)
    stack.push_async_callback(after.aclose)
    await before.take()
    assert not await after._try()
    after._session = before._session
    assert await after._try()
    await until(before, "database")


async def test_a_connection_that_says_nothing_any_more_is_lost(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with guarded(url, is_shared=ALONE) as guard:
        assert isinstance(guard, PostgreSQLGuard)
        taken, asked = guard._connection, asyncio.Event()

        async def hangs() -> bool:
            asked.set()
            return False

        monkeypatch.setattr(guard, "_answers", hangs)
        async with asyncio.timeout(10):
            await asked.wait()
        monkeypatch.undo()
        await until(guard, "database")
        await until(guard, None)
        assert guard._connection is not taken


def throw_out(postgres: Postgres, name: str) -> None:
    postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")


async def test_a_database_that_cannot_be_reached_is_no_other_process(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        async with guarded(f"postgresql+asyncpg://postgres@/none?host={tmp_path}", is_shared=ALONE):
            pass


async def test_sqlite_is_for_one_process_whatever_the_coordination(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}"
    async with guarded(url, is_shared=TOGETHER) as guard:
        assert guard.trouble is None
        with pytest.raises(AlreadyServed, match="SQLite is for one process"):
            async with guarded(url, is_shared=TOGETHER):
                pass
    async with guarded(url, is_shared=ALONE):
        pass
