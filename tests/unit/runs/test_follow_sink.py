"""Readers with a sink: what needs no waiting goes there, ends and pauses are yielded, and all of it is in order."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position
from retinue.domain.runs import Run
from tests.support.runs import paused
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE
from tests.unit.runs.test_follow import actions, end, live, say, seqs


class Screen:
    """Notes what comes, and which way."""

    def __init__(self, refusals: Sequence[bool] = ()) -> None:
        self._refusals = list(refusals)
        self.shown: list[RecordedEvent] = []
        self.poured = 0

    def sink(self, events: Sequence[RecordedEvent]) -> bool:
        if self._refusals and self._refusals.pop():
            return False
        self.poured += len(events)
        self.shown += events
        return True

    async def read(self, world: World, run: Run, after: Position = START) -> None:
        async with asyncio.timeout(DEADLINE):
            async for batch in world.follower.follow(run.tenant_id, run.id, after, self.sink):
                self.shown += batch


async def test_only_the_end_is_yielded_of_a_live_run(world: World) -> None:
    run, screen = await world.run(), Screen()
    recorder = world.recorder(run)
    say(recorder, 2)
    reader = asyncio.create_task(screen.read(world, run))
    await asyncio.sleep(0)
    say(recorder, 1)
    await end(world, run, recorder)
    await reader
    assert seqs(screen.shown) == [1, 2, 3, 4]
    assert screen.shown[-1].is_terminal
    assert screen.poured == 3


async def test_what_is_stored_is_yielded(world: World) -> None:
    run, screen = await world.run(), Screen()
    recorder = world.recorder(run)
    say(recorder, 3)
    await end(world, run, recorder)
    await screen.read(world, run, Position(1, 1))
    assert seqs(screen.shown) == [2, 3, 4]
    assert screen.poured == 0


async def test_a_pause_that_is_over_goes_no_short_way(world: World) -> None:
    """Whether it is over takes a look, and a run that has gone on does not tell of it any more."""
    run, screen = await world.run(), Screen()
    recorder = world.recorder(run)
    say(recorder, 1)
    reader = asyncio.create_task(screen.read(world, run))
    await asyncio.sleep(0)
    recorder.record(paused())
    say(recorder, 1)
    await end(world, run, recorder)
    await reader
    assert seqs(screen.shown) == [1, 3, 4]


async def test_one_who_goes_is_shown_nothing_more(world: World) -> None:
    run, screen = await world.run(), Screen()
    recorder = world.recorder(run)
    reader = asyncio.create_task(screen.read(world, run))
    await asyncio.sleep(0)
    say(recorder, 1)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    shown = len(screen.shown)
    say(recorder, 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(screen.shown) == shown


@pytest.mark.slow
@given(actions, st.lists(st.booleans(), max_size=12), st.integers(1, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
async def test_whatever_the_timing_everything_is_shown_once(
    world: World, timing: list[str], refusals: list[bool], window: int
) -> None:
    world.use_window(window)
    run, screen = await world.run(), Screen(refusals)
    recorder = world.recorder(run)
    reader = asyncio.create_task(screen.read(world, run))
    await live(world, run, recorder, timing)
    await reader
    assert seqs(screen.shown) == list(range(1, recorder.event_count + 1))
    assert screen.shown[-1].is_terminal
