"""Health."""

from retinue import __version__
from tests.contract.http.api import Client


async def test_the_process_lives(lone_client: Client) -> None:
    assert await lone_client.call("GET", "/health", 200) == {"status": "ok", "version": __version__}


async def test_readiness_gives_its_reasons(lone_client: Client) -> None:
    assert await lone_client.call("GET", "/health/ready", 200) == {
        "status": "ready",
        "reasons": [],
        "degraded": [],
    }
    lone_client.calls.health.found = ["draining", "database"]
    answer = await lone_client.call("GET", "/health/ready", 503)
    assert answer == {"status": "not_ready", "reasons": ["draining", "database"], "degraded": []}


async def test_what_works_worse_than_it_should_is_told_and_is_no_reason(lone_client: Client) -> None:
    lone_client.calls.health.worse = ["coordination"]
    answer = await lone_client.call("GET", "/health/ready", 200)
    assert answer == {"status": "ready", "reasons": [], "degraded": ["coordination"]}
