"""What the event loop's lag was, from a histogram."""

import pytest
from prometheus_client import generate_latest

from retinue.observability.metrics import Metrics
from tests.bench.lag import Lag


def observed(*late: float) -> Lag:
    metrics = Metrics()
    for seconds in late:
        metrics.lag.observe(seconds)
    return Lag.of(generate_latest(metrics.registry).decode())


def test_it_is_read_from_the_servers_own_metrics() -> None:
    assert observed(*[0.0001] * 99, 0.2).within_ms(0.99) == 1
    assert observed(*[0.0001] * 98, 0.2, 0.2).within_ms(0.99) == 250


def test_only_what_came_since_then_counts() -> None:
    before, after = observed(3.0, 3.0), observed(3.0, 3.0, 0.004)
    assert after.since(before).within_ms(0.99) == 5
    assert before.since(before).within_ms(0.99) is None


def test_other_metrics_are_refused() -> None:
    with pytest.raises(ValueError, match="lag"):
        Lag.of("retinue_open_streams 0\n")
