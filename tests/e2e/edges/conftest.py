"""Servers whose edges are tried."""

from collections.abc import Iterator

import pytest

from tests.support.databases import DIALECTS, Dialect, fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.processes import free_port
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream, upstream_in_thread

HEAD_SECONDS = 0.4
IDLE_SECONDS = 0.8
CONNECTIONS = 8


@pytest.fixture(scope="session")
def fake() -> Iterator[ThreadedUpstream]:
    """The model provider of all servers."""
    with upstream_in_thread() as running:
        yield running


@pytest.fixture
def upstream(fake: ThreadedUpstream) -> Iterator[ThreadedUpstream]:
    """The provider without memories of other tests; complains about scenarios that nobody asked for."""
    fake.reset()
    yield fake
    fake.check()


def serving(request: pytest.FixtureRequest, dialect: Dialect, **settings: str) -> Iterator[ForkedServer]:
    """A server with these settings, for a fixture."""
    template: Template = request.getfixturevalue("template")
    fake: ThreadedUpstream = request.getfixturevalue("fake")
    folder = request.getfixturevalue("tmp_path_factory").mktemp("retinue")
    settings = {"RETINUE_METRICS_PORT": str(free_port()), **settings}
    with (
        fresh_database(request, dialect, folder, template="migrated_template") as url,
        forked_retinue(template, folder, environment_for(url, allow=fake.address, **settings)) as server,
    ):
        yield server


@pytest.fixture(scope="session", params=DIALECTS)
def retinue(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """A server with metrics, once on each database."""
    yield from serving(request, request.param)


@pytest.fixture(scope="session")
def alone(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """A server on SQLite, for answers in which no database has a part."""
    yield from serving(request, "sqlite")


@pytest.fixture(scope="session")
def impatient(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """A server that waits for nobody."""
    times = {"HEAD_SECONDS": HEAD_SECONDS, "IDLE_SECONDS": IDLE_SECONDS}
    yield from serving(request, "sqlite", **{f"RETINUE_LIMITS_{name}": str(seconds) for name, seconds in times.items()})


@pytest.fixture(scope="session")
def narrow(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """A server with room for few connections."""
    yield from serving(request, "sqlite", RETINUE_LIMITS_CONNECTIONS=str(CONNECTIONS))


@pytest.fixture
def metrics(retinue: ForkedServer) -> str:
    """Where the server tells its metrics."""
    return f"127.0.0.1:{retinue.environment['RETINUE_METRICS_PORT']}"
