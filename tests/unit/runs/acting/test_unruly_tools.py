"""Tools that do not behave cannot hold up, end or crash their run."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from retinue.runs.calls import invoking
from retinue.runs.calls.invoking import NotDone, Unknown
from tests.unit.runs.acting.test_invoking import made
from tests.unit.runs.acting.tools import a_read, a_write, an_idempotent
from tests.unit.runs.doubles import DEADLINE


class Alarming(BaseException):
    """No `Exception`."""


class Deaf:
    """Waits, and goes on waiting when it is told to stop."""

    def __init__(self) -> None:
        self.has_begun, self.may_end, self.words = asyncio.Event(), asyncio.Event(), 0

    async def __call__(self) -> str:
        self.has_begun.set()
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.words += 1
        return "too late"


@pytest.fixture
def tidying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(invoking, "TIDYING_SECONDS", 0.01)
    yield
    assert not invoking._left_behind, "nothing is kept that has ended"


async def until_ended(deaf: Deaf) -> None:
    deaf.may_end.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*invoking._left_behind)


@pytest.mark.usefixtures("tidying")
@pytest.mark.parametrize("kind", [a_read, a_write])
async def test_a_tool_that_does_not_listen_is_left_behind(kind: Any, quiet: Sequence[Mapping[str, Any]]) -> None:
    deaf = Deaf()
    deeds = [deaf] * 3
    end = await made(kind("t", *deeds, timeout=0.01))
    assert isinstance(end, NotDone if kind is a_read else Unknown)
    assert deaf.words == (3 if kind is a_read else 1), "each try was told to stop"
    assert {line["event"] for line in quiet} == {"tool_left_behind"}
    await until_ended(deaf)


@pytest.mark.usefixtures("tidying")
async def test_a_run_that_is_cancelled_does_not_wait_for_it() -> None:
    deaf = Deaf()
    call = asyncio.create_task(made(a_write("t", deaf)))
    async with asyncio.timeout(DEADLINE):
        await deaf.has_begun.wait()
        call.cancel()
        await asyncio.wait([call])
    assert call.cancelled()
    assert deaf.words == 1
    await until_ended(deaf)


async def test_a_tool_that_tidies_up_is_waited_for() -> None:
    begun, tidied = asyncio.Event(), []

    async def tidy() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidied.append(True)

    call = asyncio.create_task(made(a_write("t", tidy)))
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        call.cancel()
        await asyncio.wait([call])
    assert tidied == [True]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), Alarming("secret"), SystemExit(3), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("kind", [a_read, an_idempotent, a_write])
async def test_whatever_a_tool_raises_is_a_broken_tool_and_nothing_more(kind: Any, error: BaseException) -> None:
    async def raises() -> None:
        raise error

    end = await made(kind("t", raises))
    assert end == (NotDone("tool_failed", "The tool broke.") if kind is a_read else Unknown("The tool broke."))
