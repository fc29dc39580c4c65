"""Transactions on a driver's connection: whatever happens, none stays open."""

import asyncio
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
import pytest

from retinue.db.dialects import transactions
from retinue.db.dialects.postgresql import AsyncpgTransaction, PostgreSQL, beginning, refuse_unfinished
from retinue.db.errors import translated
from retinue.domain.errors import StorageFailed, Unavailable

TENANT = UUID(int=7)


class Driver:
    """Answers as told: with a word, an exception, or never."""

    def __init__(self, **answers: str | BaseException | None) -> None:
        self.answers = {"BEGIN": "SET", "COMMIT": "COMMIT", "ROLLBACK": "ROLLBACK", **answers}
        self.asked: list[str] = []
        self.is_terminated = False
        self.is_inside = False
        self.is_waited_for = asyncio.Event()

    async def execute(self, statement: str) -> str:
        self.asked.append(statement)
        answer = self.answers[statement]
        if answer is None:
            self.is_waited_for.set()
            await asyncio.Event().wait()
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, str)
        return answer

    def is_closed(self) -> bool:
        return self.is_terminated

    def is_in_transaction(self) -> bool:
        return self.is_inside

    def terminate(self) -> None:
        self.is_terminated = True


class Lent:
    """A pool's connection, which counts how often it went back."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.is_open = True
        self.returns = 0

    def give_back(self) -> None:
        self.returns += 1


async def use(driver: Driver, error: BaseException | None = None) -> None:
    lent, ended = Lent(driver), []
    transaction = AsyncpgTransaction(lent, lambda: ended.append(lent.returns))  # type: ignore[arg-type]
    try:
        await transaction.begin("BEGIN")
        if error is None:
            await transaction.commit()
        else:
            await transaction.roll_back()
            raise error
    finally:
        assert ended == [1], "once, and whatever happens"


def test_everything_goes_in_one_round_trip() -> None:
    tenant = f"SET LOCAL retinue.tenant_id = '{TENANT}'"
    assert beginning(None, read_only=False, is_durable=False) == "BEGIN"
    assert beginning(TENANT, read_only=True, is_durable=False) == f"BEGIN READ ONLY; {tenant}"
    durable = f"BEGIN; {tenant}; SET LOCAL synchronous_commit = on"
    assert beginning(TENANT, read_only=False, is_durable=True) == durable


def test_a_tenant_is_a_uuid_and_nothing_else() -> None:
    with pytest.raises(AttributeError):
        beginning("'; DROP TABLE runs; --", read_only=True, is_durable=False)  # type: ignore[arg-type]


async def test_a_clean_exit_commits() -> None:
    driver = Driver()
    await use(driver)
    assert driver.asked == ["BEGIN", "COMMIT"]


@pytest.mark.parametrize("error", [KeyError(), asyncio.CancelledError(), GeneratorExit()])
async def test_every_other_exit_rolls_back(error: BaseException) -> None:
    driver = Driver()
    with pytest.raises(type(error)):
        await use(driver, error)
    assert driver.asked == ["BEGIN", "ROLLBACK"]
    assert not driver.is_terminated


async def test_a_commit_that_rolled_back_is_none() -> None:
    driver = Driver(COMMIT="ROLLBACK")
    with pytest.raises(StorageFailed):
        await use(driver)


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT"])
@pytest.mark.parametrize("error", [OSError(), asyncio.CancelledError()])
async def test_what_fails_on_the_way_in_or_out_is_rolled_back(statement: str, error: BaseException) -> None:
    driver = Driver(**{statement: error})
    with pytest.raises(type(error)):
        await use(driver)
    assert driver.asked[-1] == "ROLLBACK"


async def test_a_connection_that_cannot_be_rolled_back_is_closed() -> None:
    driver = Driver(ROLLBACK=OSError())
    with pytest.raises(KeyError):
        await use(driver, KeyError())
    assert driver.is_terminated


async def test_a_connection_that_does_not_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "ROLLBACK_SECONDS", 0.01)
    driver = Driver(ROLLBACK=None)
    with pytest.raises(KeyError):
        await use(driver, KeyError())
    assert driver.is_terminated


async def test_whoever_cannot_wait_for_the_rollback_closes_the_connection() -> None:
    driver = Driver(ROLLBACK=None)
    task = asyncio.create_task(use(driver, KeyError()))
    await driver.is_waited_for.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert driver.is_terminated


async def test_a_closed_connection_is_left_alone() -> None:
    driver = Driver()
    driver.terminate()
    with pytest.raises(KeyError):
        await use(driver, KeyError())
    assert driver.asked == ["BEGIN"]


async def test_one_that_was_thrown_away_is_left_alone() -> None:
    driver = Driver()
    lent = Lent(driver)
    lent.is_open = False
    await AsyncpgTransaction(lent).roll_back()  # type: ignore[arg-type]
    assert (driver.asked, lent.returns) == ([], 1)


def test_what_comes_back_unfinished_is_closed() -> None:
    driver = Driver()
    refuse_unfinished(driver)
    assert not driver.is_terminated
    driver.is_inside = True
    refuse_unfinished(driver)
    assert driver.is_terminated


def test_a_connection_that_was_just_told_to_close_is_an_outage() -> None:
    """asyncpg then refuses a statement with an error that says nothing of the server."""
    with pytest.raises(Unavailable), translated(PostgreSQL()):
        raise asyncpg.InternalClientError("another operation is in progress")
