"""What is remembered of keys: for a moment, of not too many, and never of a failure."""

import asyncio

import pytest

from retinue.domain.errors import Unavailable
from retinue.security import key_book
from retinue.security.key_book import FRESH_SECONDS, Memory
from retinue.security.watch import CHECK_SECONDS


class Asked:
    """Answers with how often it was asked, as soon as it may."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.questions: list[str] = []
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.is_out = False
        self.memory = Memory(self._ask, clock=lambda: self.now)

    async def _ask(self, question: str) -> int:
        self.questions.append(question)
        self.heard.put_nowait(question)
        number = len(self.questions)
        await self.may_answer.wait()
        if self.is_out:
            raise Unavailable
        return number


@pytest.fixture
async def asked() -> Asked:
    return Asked()


async def until_asked(asked: Asked) -> None:
    """Once more than before."""
    async with asyncio.timeout(5):
        await asked.heard.get()


async def test_an_answer_is_remembered_for_a_moment(asked: Asked) -> None:
    assert await asked.memory.get("a") == 1
    asked.now += FRESH_SECONDS - 0.001
    assert await asked.memory.get("a") == 1
    asked.now += 0.001
    assert await asked.memory.get("a") == 2


async def test_an_answer_is_as_old_as_its_question(asked: Asked) -> None:
    """A database that takes its time does not make it fresher."""
    asked.may_answer.clear()
    slow = asyncio.create_task(asked.memory.get("a"))
    await until_asked(asked)
    asked.now += FRESH_SECONDS
    asked.may_answer.set()
    assert await slow == 1
    assert await asked.memory.get("a") == 2


def test_what_is_promised_is_more_than_that() -> None:
    """Five seconds for requests, sixty for streams."""
    assert FRESH_SECONDS < 4
    assert CHECK_SECONDS < 45


async def test_who_asks_for_the_same_at_once_waits_together(asked: Asked) -> None:
    asked.may_answer.clear()
    waiting = [asyncio.create_task(asked.memory.get("unknown")) for _ in range(500)]
    await until_asked(asked)
    asked.may_answer.set()
    assert set(await asyncio.gather(*waiting)) == {1}
    assert asked.questions == ["unknown"]


async def test_one_who_goes_away_takes_nothing_with_him(asked: Asked) -> None:
    asked.may_answer.clear()
    first, second = (asyncio.create_task(asked.memory.get("a")) for _ in range(2))
    await until_asked(asked)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    asked.may_answer.set()
    assert await second == 1
    assert await asked.memory.get("a") == 1


async def test_if_all_go_away_the_answer_still_comes(asked: Asked) -> None:
    asked.may_answer.clear()
    alone = asyncio.create_task(asked.memory.get("a"))
    await until_asked(asked)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    asked.may_answer.set()
    assert await asked.memory.get("a") == 1


async def test_a_failure_is_told_to_all_who_wait_and_not_remembered(asked: Asked) -> None:
    asked.may_answer.clear()
    asked.is_out = True
    waiting = [asyncio.create_task(asked.memory.get("a")) for _ in range(5)]
    await until_asked(asked)
    asked.may_answer.set()
    assert all(isinstance(each, Unavailable) for each in await asyncio.gather(*waiting, return_exceptions=True))
    asked.is_out = False
    assert await asked.memory.get("a") == 2


async def test_what_is_forgotten_is_asked_again(asked: Asked) -> None:
    await asked.memory.get("a")
    await asked.memory.get("b")
    asked.memory.forget("a")
    asked.memory.forget("never asked")
    assert await asked.memory.get("a") == 3
    assert await asked.memory.get("b") == 2
    asked.memory.forget_all()
    assert await asked.memory.get("b") == 4


async def test_a_question_from_before_the_change_does_not_answer_after_it(asked: Asked) -> None:
    asked.may_answer.clear()
    before = asyncio.create_task(asked.memory.get("a"))
    await until_asked(asked)
    asked.memory.forget("a")
    after = asyncio.create_task(asked.memory.get("a"))
    await until_asked(asked)
    asked.may_answer.set()
    assert (await before, await after) == (1, 2)
    assert await asked.memory.get("a") == 2


async def test_it_does_not_grow_without_bound(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_book, "MAX_REMEMBERED", 100)
    for number in range(1000):
        await asked.memory.get(f"made up {number}")
    assert len(asked.memory._known) == 100
    assert await asked.memory.get("made up 999") == 1000, "the newest are kept"
    assert await asked.memory.get("made up 0") == 1001
