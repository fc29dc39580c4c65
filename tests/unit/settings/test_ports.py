"""Ports that are there for one thing each."""

import pytest

from retinue.settings import check, load
from tests.unit.settings.environments import CLOSED, REDIS


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"RETINUE_METRICS_PORT": "8000"}, "the metrics need a port of their own"),
        ({"RETINUE_METRICS_PORT": "65535", "RETINUE_PORT": "65535"}, "the metrics need a port of their own"),
    ],
)
def test_the_metrics_have_a_port_of_their_own(environ: dict[str, str], reason: str) -> None:
    (told,) = check(load(environ=environ))
    assert reason in told


@pytest.mark.parametrize(
    ("port", "reason"), [("7998", "a port of their own"), ("65534", "no port for the last of 3 workers")]
)
def test_every_worker_needs_one(port: str, reason: str) -> None:
    environ = {**CLOSED, **REDIS, "RETINUE_METRICS_PORT": port, "RETINUE_WORKERS": "3"}
    assert any(reason in told for told in check(load(environ=environ)))


def test_they_are_off_unless_asked_for() -> None:
    assert load(environ={}).metrics.port == 0
    assert check(load(environ={"RETINUE_METRICS_PORT": "9464"})) == []
