"""Rounds, and the search for the most streams."""

from contextlib import ExitStack
from itertools import count
from typing import cast

import pytest

from tests.bench.arena import OBVIOUS, POSTGRESQL, RELAY, Arena
from tests.bench.contenders import Contender
from tests.bench.load import Wrong
from tests.bench.machine import Cores, busy_seconds, cpu_seconds, memory_kib
from tests.bench.running import rotated, run
from tests.bench.scenarios.base import Scenario
from tests.bench.scenarios.ceiling import FIRST, MOST, Step, search
from tests.bench.scenarios.timing import times_within
from tests.unit.bench.services import Service


class Stage:
    """An arena whose contenders are nothing but names."""

    async def shared(self, name: str) -> Contender:
        service = Service(0)
        service.name = name
        return service


ARENA = cast(Arena, Stage())


def silent(line: str) -> None:
    pass


async def test_contenders_take_turns_in_beginning() -> None:
    order: list[str] = []

    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        order.append(contender.name)
        return {"cost": float(len(order))}

    scenario = Scenario("S", "", "cost", measure, contenders=(RELAY, OBVIOUS, POSTGRESQL))
    outcome = await run(ARENA, scenario, [RELAY, OBVIOUS, POSTGRESQL], 3, silent)
    assert [order[0], order[3], order[6]] == [RELAY, OBVIOUS, POSTGRESQL]
    assert outcome.rounds[RELAY] == [{"cost": 1}, {"cost": 6}, {"cost": 8}]
    assert outcome.medians[RELAY] == {"cost": 6}


async def test_only_those_that_are_asked_for_run() -> None:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return {}

    async def open_one(_: Arena, __: ExitStack, name: str) -> Contender:
        return await Stage().shared(name)

    scenario = Scenario("S", "", "cost", measure, contenders=(RELAY, "a special one"), open=open_one, most_rounds=1)
    assert [*(await run(ARENA, scenario, [RELAY], 3, silent)).rounds] == [RELAY]
    assert [*(await run(ARENA, scenario, [POSTGRESQL], 3, silent)).rounds] == ["a special one"]


async def test_a_wrong_answer_ends_the_run() -> None:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        if contender.name == OBVIOUS:
            raise Wrong("9 of 10 tokens")
        return {}

    scenario = Scenario("S", "", "cost", measure, contenders=(RELAY, OBVIOUS))
    with pytest.raises(Wrong, match="S, obvious: 9 of 10 tokens"):
        await run(ARENA, scenario, [RELAY, OBVIOUS], 1, silent)


def test_a_round_leaves_nobody_out() -> None:
    assert rotated(["a", "b", "c"], 4) == ["b", "c", "a"]
    assert rotated([], 2) == []


@pytest.mark.parametrize("most", [1, 7, 37, FIRST, 75, 300, 1000])
async def test_the_most_streams_are_found(most: int) -> None:
    async def measure(streams: int) -> Step:
        return Step(streams, 10 if streams <= most else 90, 0)

    held, broken = await search(measure)
    assert held is not None
    assert broken is not None
    assert held.streams <= most < broken.streams
    assert broken.streams <= max(held.streams * 1.1, held.streams + 1)


async def test_one_late_step_is_not_the_end() -> None:
    times = count()

    async def measure(streams: int) -> Step:
        return Step(streams, 90 if next(times) == 0 or streams > 4 * FIRST else 10, 0)

    held, _ = await search(measure)
    assert held is not None
    assert held.streams >= 3.6 * FIRST


async def test_the_search_ends_where_nothing_holds_and_where_everything_does() -> None:
    async def never(streams: int) -> Step:
        return Step(streams, 90, 0)

    async def always(streams: int) -> Step:
        return Step(streams, 10, 0)

    assert (await search(never))[0] is None
    held, broken = await search(always)
    assert held is not None
    assert MOST / 2 < held.streams <= MOST
    assert broken is None


def test_what_is_fast_is_done_more_often() -> None:
    assert times_within(6, 0.1, most=500) == 60
    assert times_within(6, 100, most=500) == 3
    assert times_within(6, 0, most=500) == 500


@pytest.mark.parametrize(("allowed", "server", "rest"), [({3}, (), ()), ({2, 0, 5}, (0,), (2, 5))])
def test_cores_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, allowed: set[int], server: tuple[int, ...], rest: tuple[int, ...]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: allowed, raising=False)
    cores = Cores.shared_out()
    assert cores == (frozenset(server), frozenset(rest))
    assert cores.is_pinned is bool(server)


def test_a_system_without_affinity_pins_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert not Cores.shared_out().is_pinned


def test_costs_of_a_process_are_told() -> None:
    own = Service(0).pids
    before = cpu_seconds(own), busy_seconds(frozenset())
    assert sum(range(200_000)) > 0
    assert cpu_seconds(own) > before[0]
    assert busy_seconds(frozenset()) >= before[1]
    assert memory_kib(own) > 1000
