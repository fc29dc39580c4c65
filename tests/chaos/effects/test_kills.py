"""kill -9 between every two states of a call: a write reaches the receiver at most once, and nobody is lied to."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import pytest

from tests.chaos.books import active_runs, recovery_of
from tests.chaos.effects.books import times_lost
from tests.chaos.effects.cast import ALL_PARTS, Cast, assemble
from tests.chaos.effects.errand import Errand
from tests.chaos.effects.points import GATES, IN_DOUBT, Point
from tests.chaos.effects.receiver import Receiver
from tests.chaos.effects.script import SET, WRITE
from tests.chaos.sizes import SIZES
from tests.chaos.test_kills import wait_for_any
from tests.chaos.world import LEASE_SECONDS, RECOVERY_SECONDS
from tests.e2e.streams.servers import Replicas
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

LEASE = LEASE_SECONDS

SOME = 4
"""Errands that meet the kill of a process wherever they are."""
KILLED_TWICE = 0.3
BACK_BEFORE_RECOVERY = 0.3
"""Shares of the kills."""
Part = tuple[str, Point | None]
Figure = Callable[[str], None]


class Toll:
    """What was killed, and how long it took to recover."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.kills = self.errands = self.doubts = 0
        self.recoveries: list[float] = []

    def __str__(self) -> str:
        took = time.monotonic() - self.began
        recovery = "nothing to recover"
        if self.recoveries:
            recovery = f"recovery median {median(self.recoveries):.2f} s, longest {max(self.recoveries):.2f} s"
        return (
            f"{self.kills} kills, {self.errands} errands, {self.doubts} calls in doubt, {took:.0f} s in all; {recovery}"
        )


class Killing:
    """One round: everybody comes to his point, or is just anywhere; the process dies; people and others go on."""

    def __init__(self, world: Replicas, rng: random.Random, cast: Cast, toll: Toll) -> None:
        self.world, self.rng, self.cast, self.toll = world, rng, cast, toll

    async def at_the_points(self) -> None:
        """All errands stand still, each at its point, when their process dies."""
        host = self.rng.choice(self.world)
        for errand in self.cast.errands:
            errand.clients = [host.client()]
        # An assessment has less time than a call, so that those who stand in one come last.
        for is_last in (False, True):
            going = [errand for errand in self.cast.errands if (GATES.get(errand.point) == "assess") is is_last]
            await asyncio.gather(*(errand.go_to_the_point() for errand in going))
        for errand in self.cast.errands:
            errand.clients = [server.client() for server in self.world]
        pids = {errand.pid for errand in self.cast.errands}
        standing = [server for server in dict.fromkeys(self.world) if server.process.pid in pids]
        await self.kill(standing or [host])
        await asyncio.gather(*(errand.finish() for errand in self.cast.errands))

    async def anywhere(self) -> None:
        """Nobody knows where the errands are when a process dies, and perhaps the next one."""
        for errand in self.cast.errands:
            await errand.begin(self.rng.choice(self.world).client())
        finishing = [asyncio.create_task(errand.finish()) for errand in self.cast.errands]
        await asyncio.sleep(self.rng.uniform(0, 0.4))
        await self.kill([self.rng.choice(self.world)])
        if self.rng.random() < KILLED_TWICE:
            await asyncio.sleep(self.rng.uniform(0, 0.3))
            await self.kill([self.rng.choice(self.world)])
        await asyncio.gather(*finishing)

    async def kill(self, victims: Sequence[ForkedServer]) -> None:
        for victim in victims:
            self.cast.note_lost(victim.process.pid)
            victim.kill()
        self.cast.release()
        lost = await active_runs(self.world.here)
        is_early = len(victims) == len(set(self.world)) or self.rng.random() < BACK_BEFORE_RECOVERY
        if is_early:
            for victim in victims:
                victim.start_soon()
        await asyncio.to_thread(wait_for_any, self.world)
        alive_at = time.monotonic()
        took = await recovery_of(self.world.here, lost, within=RECOVERY_SECONDS + len(lost))
        self.toll.recoveries += [time.monotonic() - alive_at] if took > 0.05 else []
        if not is_early:
            for victim in victims:
                victim.start_soon()
        for server in set(self.world):
            await asyncio.to_thread(server.wait_until_ready)
        self.toll.kills += len(victims)


async def _round(killing: Killing, how: str, number: int) -> None:
    cast, toll = killing.cast, killing.toll
    try:
        await getattr(killing, how)()
        await cast.check(killing.world.here.client())
    except BaseException as error:
        error.add_note(f"in round {number}:\n" + "\n".join(f"  {errand}" for errand in cast.errands))
        raise
    finally:
        cast.leave()
    for errand in cast.errands:
        if errand.point is not None:
            await _check_doubts(errand)
        toll.doubts += sum(map(len, errand.resolutions.values()))
    toll.errands += len(cast.errands)


async def _check_doubts(errand: Errand) -> None:
    """Of this write, and of nothing else, it was said that nobody knows."""
    is_doubtful = errand.point in IN_DOUBT and errand.target.tool == WRITE
    doubts = set(errand.resolutions)
    assert doubts >= ({errand.target.id} if is_doubtful else set()), f"{errand}: {doubts}"
    if await times_lost(errand) == errand.has_lost_its_process:  # a busy machine may lose it once more
        assert doubts == ({errand.target.id} if is_doubtful else set()), f"{errand}: {doubts}"


def _parts(rng: random.Random) -> Iterator[Sequence[Part]]:
    """Every target at every point, again and again, some at a time."""
    while True:
        parts = rng.sample(ALL_PARTS, len(ALL_PARTS))
        for start in range(0, len(parts), SIZES.effect_errands):
            yield parts[start : start + SIZES.effect_errands]


async def test_between_every_two_states(
    world: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random, figure: Figure
) -> None:
    toll, parts = Toll(), _parts(rng)
    for number in range(SIZES.effect_kills):
        upstream.reset()
        turn = number * SIZES.effect_errands // len(ALL_PARTS)
        cast = await assemble(world, upstream, receiver, rng, next(parts), shift=turn)
        await _round(Killing(world, rng, cast, toll), "at_the_points", number)
    figure(str(toll))


async def test_anywhere(
    world: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random, figure: Figure
) -> None:
    toll = Toll()
    for number in range(SIZES.effect_storms):
        upstream.reset()
        cast = await assemble(world, upstream, receiver, rng, [(rng.choice([WRITE, SET]), None) for _ in range(SOME)])
        await _round(Killing(world, rng, cast, toll), "anywhere", number)
    figure(str(toll))
