"""What many ask at the same time is asked once."""

import asyncio
from collections.abc import Sequence

import pytest

from retinue.domain.errors import Unavailable
from retinue.domain.events import RecordedEvent
from retinue.runs.sharing import Shared
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, until
from tests.unit.runs.process import Process


class Question:
    """Answers with how often it was asked, once its gate is open."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = Gate()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        await self.gate()
        if self.error is not None:
            raise self.error
        return number


async def test_those_who_ask_together_share_the_answer() -> None:
    shared, question = Shared[int](), Question()
    asking = [asyncio.create_task(shared.recent("x", question, lambda _: 0)) for _ in range(20)]
    await question.gate.wait_until_reached()
    question.gate.opened.set()
    assert await asyncio.gather(*asking) == [1] * 20
    assert await shared.recent("x", question, lambda _: 0) == 2
    assert not shared._asked


async def test_an_answer_is_kept_as_long_as_it_is_good() -> None:
    shared, question = Shared[int](), Question()
    question.gate.opened.set()
    assert [await shared.recent("x", question, lambda _: 3600) for _ in range(3)] == [1, 1, 1]
    assert await shared.recent("y", question, lambda _: 0.001) == 2
    await until(lambda: "y" not in shared._asked)


async def test_who_asks_later_wants_to_know_how_it_is_now() -> None:
    shared, question = Shared[int](), Question()
    first = asyncio.create_task(shared.fresh("x", question))
    await question.gate.wait_until_reached()
    later = [asyncio.create_task(shared.fresh("x", question)) for _ in range(5)]
    await asyncio.sleep(0)
    question.gate.opened.set()
    assert (await first, await asyncio.gather(*later)) == (1, [2] * 5)


async def test_an_error_is_for_all_and_is_not_kept() -> None:
    shared, question = Shared[int](), Question()
    question.error = Unavailable()
    asking = [asyncio.create_task(shared.recent("x", question, lambda _: 3600)) for _ in range(3)]
    await question.gate.wait_until_reached()
    question.gate.opened.set()
    assert {type(error) for error in await asyncio.gather(*asking, return_exceptions=True)} == {Unavailable}
    question.error = None
    assert await shared.recent("x", question, lambda _: 0) == 2


async def test_one_who_goes_away_takes_the_answer_from_nobody() -> None:
    shared, question = Shared[int](), Question()
    gone, waiting = (asyncio.create_task(shared.recent("x", question, lambda _: 0)) for _ in range(2))
    await question.gate.wait_until_reached()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    question.gate.opened.set()
    assert await waiting == 1


async def test_a_crowd_of_followers_of_a_waiting_run_costs_one_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Process(world, [gate := Gate()])
    await office.configure()
    await office.start(conversation := await world.conversation())
    await gate.wait_until_reached()
    waiting = await office.start(conversation, "More", on_busy="enqueue")
    follower = office.service.follow
    streams = [follower(waiting.tenant_id, waiting.id) for _ in range(50)]
    told: list[Sequence[RecordedEvent]] = await asyncio.gather(*(anext(stream) for stream in streams))
    assert {len(events) for events in told} == {2}
    reads = 0
    unit = world.database.unit

    def counting(*args: object, **options: object) -> object:
        nonlocal reads
        reads += 1
        return unit(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(world.database, "unit", counting)
    further = [asyncio.create_task(anext(stream)) for stream in streams]
    async with asyncio.timeout(DEADLINE):
        await until(lambda: len(office.wakes._watching.get(conversation.id, ())) == 50)
    assert reads == 1
    for task in further:
        task.cancel()
    await asyncio.gather(*further, return_exceptions=True)
    for stream in streams:
        await stream.aclose()
