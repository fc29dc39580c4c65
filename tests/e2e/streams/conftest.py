"""Servers for all tests of this folder. They live as long as the session, because starting one costs seconds."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.databases import DIALECTS, Dialect, fresh_database
from tests.support.server import RetinueServer, environment_for, running_retinue
from tests.support.upstream import ThreadedUpstream, upstream_in_thread

IMPATIENT = {
    "RETINUE_PROVIDER_FIRST_TOKEN_SECONDS": "1.5",
    "RETINUE_PROVIDER_BETWEEN_TOKENS_SECONDS": "1.5",
    "RETINUE_PROVIDER_MAX_TRIES": "2",
    "RETINUE_PROVIDER_BASE_DELAY_SECONDS": "0.01",
    "RETINUE_STREAM_SEND_TIMEOUT_SECONDS": "1",
    "RETINUE_LIMITS_MAX_STEPS": "3",
}


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


@contextmanager
def _server(
    request: pytest.FixtureRequest, dialect: Dialect, fake: ThreadedUpstream, **settings: str
) -> Iterator[RetinueServer]:
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    folder = factory.mktemp("retinue")
    with (
        fresh_database(request, dialect, folder) as url,
        running_retinue(folder, environment_for(url, allow=fake.address, **settings)) as server,
    ):
        yield server


@pytest.fixture(scope="session", params=DIALECTS)
def retinue(request: pytest.FixtureRequest, fake: ThreadedUpstream) -> Iterator[RetinueServer]:
    """A server as it comes, once on each database."""
    with _server(request, request.param, fake) as server:
        yield server


@pytest.fixture(scope="session")
def impatient(request: pytest.FixtureRequest, fake: ThreadedUpstream) -> Iterator[RetinueServer]:
    """A server with short deadlines, two tries and three steps."""
    with _server(request, "sqlite", fake, **IMPATIENT) as server:
        yield server


@pytest.fixture
def own_server(request: pytest.FixtureRequest, fake: ThreadedUpstream) -> Iterator[RetinueServer]:
    """A server that the test may stop or kill; its settings come from the marker `server_settings`."""
    dialect, settings = request.param
    with _server(request, dialect, fake, **settings) as server:
        yield server
