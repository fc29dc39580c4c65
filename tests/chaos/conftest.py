"""Servers to torment, the seed, and the figures that are measured on the way."""

import os
import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.outages import BreakableRedis
from tests.chaos.sizes import IS_FULL
from tests.chaos.world import StartReplicas
from tests.e2e.streams.servers import Replicas
from tests.support.databases import fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream, upstream_in_thread

SEED = int(os.environ.setdefault("CHAOS_SEED", str(random.SystemRandom().randrange(2**31) if IS_FULL else 1)))
"""Workers inherit it, so that one seed repeats a whole run."""

SETTINGS = {
    "RETINUE_RUNS_DRAIN_SECONDS": "2",
    "RETINUE_LIMITS_MAX_STEPS": "64",
    "RETINUE_LIMITS_CONTENT_CHARS": "100000",  # a message carries what its answer is to be
    "RETINUE_RETENTION_SWEEP_SECONDS": "1",
}


CALM_LEASE_SECONDS = 20.0


def _lease(request: pytest.FixtureRequest) -> str:
    """The module's own, or one that no busy machine exceeds."""
    return str(getattr(request.module, "LEASE", CALM_LEASE_SECONDS))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """The test's own random numbers; the same for the same seed, whatever other tests draw."""
    return random.Random(f"{SEED}:{request.node.nodeid}")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a measured figure for the summary at the end."""
    return lambda text: record_property("figure", text)


@pytest.fixture(scope="session")
def fake() -> Iterator[ThreadedUpstream]:
    """The model provider of all servers."""
    with upstream_in_thread() as running:
        yield running


@pytest.fixture
def upstream(fake: ThreadedUpstream) -> ThreadedUpstream:
    """The provider without memories of other tests."""
    fake.reset()
    return fake


@pytest.fixture(scope="module")
def alone(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    template: Template,
    fake: ThreadedUpstream,
) -> Iterator[ForkedServer]:
    """One process on SQLite, with everything in memory."""
    folder = tmp_path_factory.mktemp("alone")
    settings = {**SETTINGS, "RETINUE_RUNS_LEASE_SECONDS": _lease(request)}
    with (
        fresh_database(request, "sqlite", folder) as url,
        forked_retinue(template, folder, environment_for(url, allow=fake.address, **settings)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableRedis]:
    """A Redis that tests may kill, freeze and empty."""
    server = BreakableRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def start_replicas(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    template: Template,
    fake: ThreadedUpstream,
    redis: BreakableRedis,
) -> StartReplicas:
    """How to start two processes on one PostgreSQL and the Redis of this session."""

    @contextmanager
    def start(**more: str) -> Iterator[Replicas]:
        settings = {**SETTINGS, "RETINUE_COORDINATION_URL": redis.url, **more}
        here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
        with fresh_database(request, "postgresql", here, template="migrated_template") as url:
            environment = environment_for(url, allow=fake.address, **settings)
            with (
                forked_retinue(template, here, environment) as one,
                forked_retinue(template, there, environment) as two,
            ):
                yield Replicas(one, two)

    return start


@pytest.fixture(scope="module")
def replicas(request: pytest.FixtureRequest, start_replicas: StartReplicas) -> Iterator[Replicas]:
    """Two replicas with the settings of all chaos."""
    with start_replicas(RETINUE_RUNS_LEASE_SECONDS=_lease(request)) as pair:
        yield pair


@pytest.fixture(params=["alone", "replicas"])
def world(request: pytest.FixtureRequest) -> Replicas:
    """Where a client may knock: twice at the same process on SQLite, or at two replicas."""
    found: ForkedServer | Replicas = request.getfixturevalue(request.param)
    return found if isinstance(found, Replicas) else Replicas(found, found)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure: how to repeat it, and what the servers wrote."""
    report = yield
    if report.failed:
        report.sections.append(("chaos", f"CHAOS_SEED={SEED} CHAOS={'full' if IS_FULL else 'short'}"))
        used = getattr(item, "funcargs", {})
        for name in ("alone", "replicas", "world", "long_queue", "short_queue"):
            for server in _servers(used.get(name)):
                report.sections.append((f"output of {server.address}", server.process.tail(4000)))
    return report


def _servers(used: object) -> list[ForkedServer]:
    return [used] if isinstance(used, ForkedServer) else list(dict.fromkeys(used)) if isinstance(used, Replicas) else []


def pytest_report_header() -> str:
    return f"chaos: CHAOS_SEED={SEED} CHAOS={'full' if IS_FULL else 'short'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, also those of other workers."""
    lines = [
        f"{report.nodeid.rpartition('/')[2]}: {value}"
        for reports in (terminalreporter.getreports("passed"), terminalreporter.getreports("failed"))
        for report in reports
        for name, value in report.user_properties
        if name == "figure"
    ]
    if lines:
        terminalreporter.section(f"figures (CHAOS_SEED={SEED})")
        for line in lines:
            terminalreporter.write_line(line)
