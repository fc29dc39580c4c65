"""Servers for all tests of this folder. Most live as long as the session, because starting one costs time."""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.streams.busy import FIRST, Busy
from tests.e2e.streams.servers import Replicas, one_server, two_servers
from tests.e2e.streams.talk import after_tokens, begin, hire
from tests.support.databases import DIALECTS, Dialect, fresh_database
from tests.support.forking import ForkedServer
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
        fresh_database(request, dialect, folder, template="migrated_template") as url,
        running_retinue(
            folder, environment_for(url, allow=fake.address, **settings), is_migrated=dialect == "postgresql"
        ) as server,
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


@pytest.fixture(scope="session")
def alone(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """One process on SQLite."""
    with one_server(request, "sqlite") as server:
        yield server


@pytest.fixture(scope="session")
def replicas(request: pytest.FixtureRequest) -> Iterator[Replicas]:
    """Two processes on PostgreSQL and Redis. Their leases are long: what happens at once happens by a signal."""
    with two_servers(request) as pair:
        yield pair


@pytest.fixture(params=["alone", "replicas"])
def world(request: pytest.FixtureRequest) -> Replicas:
    """Where clients knock: twice at the same process on SQLite, or at two replicas."""
    found: ForkedServer | Replicas = request.getfixturevalue(request.param)
    return found if isinstance(found, Replicas) else Replicas(found, found)


@pytest.fixture
def own_server(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """A server that the test may stop or kill; see `server_with`."""
    dialect, settings = request.param
    with one_server(request, dialect, **settings) as server:
        yield server


@pytest.fixture
def own_replicas(request: pytest.FixtureRequest) -> Iterator[Replicas]:
    """Two replicas that the test may stop or kill; see `replicas_with`."""
    with two_servers(request, **request.param) as pair:
        yield pair


@pytest.fixture
async def busy(world: Replicas, upstream: ThreadedUpstream) -> AsyncIterator[Busy]:
    """A conversation whose answer stands still after three tokens."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(FIRST.hold(3))
    async with await begin(here, conversation.id, "First") as stream:
        await after_tokens(stream, 3)
        yield Busy(here, there, conversation, stream, upstream)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers wrote beside the failure of a test that used them."""
    report = yield
    used = getattr(item, "funcargs", {})
    if report.failed:
        for name in ("impatient", "world", "replicas", "own_server", "own_replicas"):
            found = used.get(name)
            servers = dict.fromkeys(found) if isinstance(found, Replicas) else [found] if found else []
            for server in servers:
                report.sections.append((f"output of {name} at {server.address}", server.process.tail(4000)))
    return report
