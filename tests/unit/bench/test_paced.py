"""S2 and what is built on it: which answers count, and in which units."""

import pytest

from tests.bench.load import Client, Told, Wrong
from tests.bench.plan import Plan
from tests.bench.scenarios.paced import LAPS, Take, _costs, _Meters, _times, asking, paced
from tests.unit.bench.services import Service, losing, serving

STREAMS = 3


async def test_times_are_those_of_the_answers_between_the_first_and_the_last() -> None:
    """Those are answered late here, and the others are not."""
    taken: list[int] = []

    def late(contender: Service, plan: Plan) -> Take:
        one = asking(contender, plan)

        async def take(number: int, client: Client) -> Told:
            await one(number, client)
            taken.append(number)
            is_between = 0 < taken.count(number) - 1 < LAPS - 1
            return Told(asked_at=0, first_at=7000 if is_between else 1000, transits=[5000 if is_between else 1000])

        return take

    async with serving(losing(0)) as port:
        figures = await paced(Service(port), streams=STREAMS, tokens=5, take=late)  # type: ignore[arg-type]
    assert len(taken) == STREAMS * LAPS
    assert figures["first_token_p50_ms"] == figures["first_token_p99_ms"] == 7
    assert figures["transit_p50_ms"] == figures["transit_p99_ms"] == 5


def test_times_are_milliseconds() -> None:
    told = [Told(asked_at=1000, first_at=3500, transits=[100, 200]), Told(asked_at=0, first_at=9000, transits=[400])]
    assert _times(told) == {
        "first_token_p50_ms": 2.5,
        "first_token_p99_ms": 9,
        "transit_p50_ms": 0.2,
        "transit_p99_ms": 0.4,
    }


def test_costs_are_those_between_two_readings() -> None:
    before = _Meters(at=10, cpu=1.0, beside=5.0, rest=2.0, tokens=1000)
    after = _Meters(at=14, cpu=2.0, beside=5.5, rest=4.0, tokens=6000)
    assert _costs(before, after) == {
        "cpu_ms_per_1000_tokens": 200,
        "others_cpu_ms_per_1000_tokens": 100,
        "core": 0.25,
        "rest_busy": 0.5,
    }
    assert "others_cpu_ms_per_1000_tokens" not in _costs(before, after._replace(beside=5.0))


def test_silence_has_no_price() -> None:
    meters = _Meters(at=10, cpu=1.0, beside=0, rest=0, tokens=1000)
    with pytest.raises(Wrong, match="no token"):
        _costs(meters, meters._replace(at=20, cpu=3.0))
