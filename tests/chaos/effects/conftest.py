"""Servers with tools that reach a receiver."""

from collections.abc import Iterator

import pytest

from tests.chaos.conftest import CALM_LEASE_SECONDS, SETTINGS, _lease
from tests.chaos.effects.receiver import Receiver, running_receiver
from tests.chaos.world import StartReplicas
from tests.e2e.streams.servers import Replicas
from tests.support.databases import fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream

pytest.register_assert_rewrite("tests.chaos.effects.books")


@pytest.fixture(scope="session")
def reachable() -> Iterator[Receiver]:
    """What the tools of all servers reach."""
    with running_receiver() as running:
        yield running


@pytest.fixture
def receiver(reachable: Receiver) -> Iterator[Receiver]:
    """The receiver without memories of other tests."""
    reachable.deliveries.clear()
    reachable.begun.clear()
    yield reachable
    reachable.release()
    assert not reachable.faults, reachable.faults


@pytest.fixture(scope="module")
def more_settings(request: pytest.FixtureRequest, reachable: Receiver) -> dict[str, str]:
    """The module's own are in its `MORE`."""
    return {
        "RETINUE_RUNS_LEASE_SECONDS": _lease(request),
        # Processes that are killed on purpose are no reason to give up a run.
        "RETINUE_RUNS_MAX_ATTEMPTS": "9",
        "TESTS_TOOLS": "tests.chaos.effects.tools",
        "TESTS_RECEIVER": reachable.address,
        **getattr(request.module, "MORE", {}),
    }


@pytest.fixture(scope="module")
def alone(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    template: Template,
    fake: ThreadedUpstream,
    more_settings: dict[str, str],
) -> Iterator[ForkedServer]:
    """One process on SQLite, with everything in memory."""
    folder = tmp_path_factory.mktemp("alone")
    # Who starts after it inherits its runs at once, so that nothing waits for its leases.
    settings = SETTINGS | more_settings | {"RETINUE_RUNS_LEASE_SECONDS": str(CALM_LEASE_SECONDS)}
    with (
        fresh_database(request, "sqlite", folder) as url,
        forked_retinue(template, folder, environment_for(url, allow=fake.address, **settings)) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def replicas(start_replicas: StartReplicas, more_settings: dict[str, str]) -> Iterator[Replicas]:
    """Two processes on PostgreSQL and Redis."""
    with start_replicas(**more_settings) as pair:
        yield pair
