"""Wrong answers are refused and never counted; right ones come through."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial

import pytest

from tests.bench.contenders.base import refuse_incomplete
from tests.bench.contenders.retinue import refuse_failed_calls
from tests.bench.load import Client, Told, Wrong
from tests.bench.plan import Plan
from tests.bench.scenarios.burst import burst
from tests.bench.scenarios.crowd import refuse_silent
from tests.bench.scenarios.following import run_of
from tests.bench.scenarios.growth import refuse_empty
from tests.bench.scenarios.paced import paced
from tests.bench.scenarios.turns import turns
from tests.unit.bench.services import Service, floor, losing, relay, serving, upstream

WHOLE = Told(status=200, transits=[1, 2, 3], tail=b"data: [DONE]")
LOG = '"tool_log":[{"name":"calculate","error":null},{"name":"calculate","error":%s}],"event_count":9}'


def test_a_whole_answer_is_accepted() -> None:
    refuse_incomplete(WHOLE, Plan(3), b"[DONE]")


@pytest.mark.parametrize(
    "told",
    [
        replace(WHOLE, transits=[1, 2]),
        replace(WHOLE, transits=[1, 2, 3, 4]),
        replace(WHOLE, status=503),
        replace(WHOLE, tail=b"data: "),
    ],
)
def test_a_lost_token_a_made_up_one_and_a_missing_end_are_refused(told: Told) -> None:
    with pytest.raises(Wrong):
        refuse_incomplete(told, Plan(3), b"[DONE]")


MEASURES: list[Callable[[Service], object]] = [
    partial(burst, streams=2, seconds=0.0),
    partial(paced, streams=2, tokens=5),
    partial(turns, each=1),
]


@pytest.mark.parametrize("measure", MEASURES)
async def test_no_scenario_counts_a_contender_that_loses_a_token(measure: Callable[[Service], object]) -> None:
    async with serving(losing(0)) as port:
        figures = await measure(Service(port))  # type: ignore[misc]
        assert all(value >= 0 for value in figures.values())
    async with serving(losing(1)) as port:
        with pytest.raises(Wrong, match=r"\d+ of \d+ tokens"):
            await measure(Service(port))  # type: ignore[misc]


@pytest.mark.parametrize("service", [relay, floor])
async def test_the_relays_lose_nothing_over_connections_that_are_kept(
    service: Callable[[int], AbstractAsyncContextManager[int]],
) -> None:
    async with upstream() as port, service(port) as own:
        await burst(Service(own), streams=2, seconds=0.0)


def test_a_log_of_all_tool_calls_is_accepted() -> None:
    refuse_failed_calls(Told(tail=(LOG % "null").encode()), Plan(1, calls=2))


@pytest.mark.parametrize(
    ("tail", "calls"), [(LOG % "null", 3), (LOG % '"tool_failed"', 2), ('"tool_log":[]', 2), ("", 2)]
)
def test_missing_and_failed_tool_calls_are_refused(tail: str, calls: int) -> None:
    with pytest.raises(Wrong, match="tool calls"):
        refuse_failed_calls(Told(tail=tail.encode()), Plan(1, calls=calls))


def test_slow_streams_must_go_on() -> None:
    client = Client()
    client.tokens = 60
    refuse_silent([client], [0.0], 61.0)
    with pytest.raises(Wrong, match="60 tokens in 90 seconds"):
        refuse_silent([client], [0.0], 90.0)


@pytest.mark.parametrize(("status", "tail"), [(200, b"[]"), (403, b'[{"id":1}]'), (200, b"")])
def test_a_list_with_nothing_in_it_is_refused(status: int, tail: bytes) -> None:
    refuse_empty(Told(status=200, tail=b'[{"id":1}]'))
    with pytest.raises(Wrong):
        refuse_empty(Told(status=status, tail=tail))


def test_the_run_to_follow_is_named_in_the_first_frame() -> None:
    assert run_of(b'{"type":"message_start","run_id":"0198c1b2-0000-7000-8000-000000000001"}').startswith("0198c1b2")
    with pytest.raises(Wrong, match="names no run"):
        run_of(b'{"type":"token"}')
