"""`python -m tests.bench.soak`: S4 at half of what the server can take, for an hour: does its memory stay flat?

Each minute it writes a line; at the end, what the second half of the time had more than the end of the first tenth.
"""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from time import monotonic
from typing import NamedTuple

import uvloop

from tests.bench.arena import POSTGRESQL, SQLITE, Arena
from tests.bench.contenders import Retinue
from tests.bench.load import Client
from tests.bench.machine import Cores, cpu_seconds, memory_kib
from tests.bench.scenarios.turns import CLIENTS, TURN, turns

HALF = 0.5
_WARM_SECONDS = 10.0
_MINUTE = 60.0


class Minute(NamedTuple):
    number: int
    turns: int
    memory_mib: float
    cpu_ms_per_turn: float


class Soak:
    """A steady number of turns a second. Who is late does not catch up, so a slow server is not asked for more."""

    def __init__(self, contender: Retinue, turns_per_s: float) -> None:
        self._contender = contender
        self._apart = CLIENTS / turns_per_s
        self._taken = 0

    async def measure(self, minutes: int) -> list[Minute]:
        """
        Raises:
            Wrong: one turn went wrong.
        """
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._speak(number, ended))
            found = [await self._minute(number) for number in range(1, minutes + 1)]
            ended.set()
        return found

    async def _speak(self, number: int, ended: asyncio.Event) -> None:
        contender = self._contender
        client = await Client.connect(contender.port)
        due = monotonic() + self._apart * number / CLIENTS
        while not ended.is_set():
            await asyncio.sleep(max(0.0, due - monotonic()))
            due = max(due + self._apart, monotonic())
            await contender.prepare_one(number, 1)
            if not client.is_kept:
                client = await Client.connect(contender.port)
            contender.check(await client.ask(contender.ask(number, TURN)), TURN)
            self._taken += 1
        client.close()

    async def _minute(self, number: int) -> Minute:
        taken, cpu = self._taken, cpu_seconds(self._contender.pids)
        await asyncio.sleep(_MINUTE)
        taken, cpu = self._taken - taken, cpu_seconds(self._contender.pids) - cpu
        told = Minute(number, taken, memory_kib(self._contender.pids) / 1024, cpu * 1000 / max(1, taken))
        _say(f"minute {number}: {taken} turns, {told.memory_mib:.1f} MiB, {told.cpu_ms_per_turn:.2f} ms per turn")
        return told


def growth(minutes: list[Minute]) -> str:
    """From the end of the first tenth, by the highest of the minutes after the middle."""
    early = minutes[len(minutes) // 10]
    late = max(minutes[len(minutes) // 2 :], key=lambda minute: minute.memory_mib)
    more = late.memory_mib - early.memory_mib
    count = sum(minute.turns for minute in minutes)
    return (
        f"{count:,} turns in {len(minutes)} minutes. Minute {early.number}: {early.memory_mib:.1f} MiB; "
        f"most after the middle: {late.memory_mib:.1f} MiB in minute {late.number} ({more:+.1f} MiB)"
    )


async def soak(name: str, minutes: int, turns_per_s: float | None) -> list[Minute]:
    with ExitStack() as stack:
        contender = await Arena(stack, Cores.shared_out()).open(stack, name)
        assert isinstance(contender, Retinue)
        full = (await turns(contender, seconds=_WARM_SECONDS))["turns_per_s"]
        asked = full * HALF if turns_per_s is None else turns_per_s
        _say(f"{name}: {full:.0f} turns a second at full load, {asked:.0f} from now on")
        return await Soak(contender, asked).measure(minutes)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--turns-per-s", type=float, metavar="N", help="instead of half of what it takes at first")
    parser.add_argument("--contender", choices=(SQLITE, POSTGRESQL), default=POSTGRESQL)
    asked = parser.parse_args()
    if asked.minutes < 1 or (asked.turns_per_s is not None and asked.turns_per_s <= 0):
        parser.error("there is no result without a minute and without a turn")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        minutes = runner.run(soak(asked.contender, asked.minutes, asked.turns_per_s))
    sys.stdout.write(f"{growth(minutes)}\n")


if __name__ == "__main__":
    main()
