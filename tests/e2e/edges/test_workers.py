"""Several workers behind one address: each tells its own metrics, on a port of its own."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.contract.wire import fetch
from tests.e2e.edges.reading import scrape
from tests.e2e.server.waiting import eventually
from tests.support.databases import Postgres
from tests.support.server import RetinueServer, environment_for, running_retinue

pytestmark = pytest.mark.slow

WORKERS = 2
ASKED = "/api/v1/health"


@pytest.fixture
def first_port() -> int:
    """So is the next one; the kernel gives neither to anybody who does not name it."""
    for port in random.sample(range(20_000, 32_000, WORKERS), 100):
        with suppress(OSError), ExitStack() as stack:
            for number in range(WORKERS):
                stack.enter_context(socket.create_server(("127.0.0.1", port + number)))
            return port
    raise AssertionError("all of a hundred pairs of ports are taken")


@pytest.fixture
def server(
    tmp_path: Path, postgres: Postgres, migrated_template: str, redis_url: str, first_port: int
) -> Iterator[RetinueServer]:
    with postgres.database(template=migrated_template) as url:
        environment = environment_for(
            url,
            RETINUE_COORDINATION_URL=redis_url,
            RETINUE_WORKERS=str(WORKERS),
            RETINUE_METRICS_PORT=str(first_port),
        )
        with running_retinue(tmp_path, environment, is_migrated=True) as running:
            eventually(lambda: running.output.count('"event": "worker_ready"') >= WORKERS)
            yield running


def test_every_worker_tells_its_own(server: RetinueServer, first_port: int) -> None:
    addresses = [f"127.0.0.1:{first_port + number}" for number in range(WORKERS)]

    def answered() -> list[float]:
        return [scrape(address).value("requests_total", route=ASKED) for address in addresses]

    before = sum(answered())
    for _ in range(50):
        assert fetch(server.address, "GET", ASKED).status == 200
    assert sum(answered()) == before + 50
    started = [
        sample.value
        for address in addresses
        for sample in scrape(address).samples
        if sample.name == "process_resident_memory_bytes"
    ]
    assert len(set(started)) == WORKERS
