"""Servers for all tests of this folder. Most live as long as the session, because starting one costs time."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.streams.servers import Replicas, one_server, two_servers
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import Office
from tests.support.databases import DIALECTS
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream, upstream_in_thread


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


@pytest.fixture(scope="session")
def sudo(tmp_path_factory: pytest.TempPathFactory) -> FakeSudo:
    """The only `sudo` on the workspaces' path."""
    return FakeSudo(tmp_path_factory.mktemp("sudo"))


@pytest.fixture(scope="session")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of all workspaces."""
    return tmp_path_factory.mktemp("workspaces")


@pytest.fixture(scope="session")
def settings(sudo: FakeSudo, workspaces: Path) -> dict[str, str]:
    """Of every server here: all tools, and a sweeper that nobody has to wait for."""
    return {
        "RETINUE_APPROVALS_SWEEP_SECONDS": "0.1",
        "RETINUE_WORKSPACE_ENABLED": "true",
        "RETINUE_WORKSPACE_ROOT": str(workspaces),
        "RETINUE_WORKSPACE_SUDO": "true",
        "RETINUE_WORKSPACE_PATH": f"{sudo.folder}:/usr/local/bin:/usr/bin:/bin",
    }


@pytest.fixture(scope="session", params=DIALECTS)
def retinue(request: pytest.FixtureRequest, settings: dict[str, str]) -> Iterator[ForkedServer]:
    """A server once on each database."""
    with one_server(request, request.param, **settings) as server:
        yield server


@pytest.fixture
def office(retinue: ForkedServer, upstream: ThreadedUpstream) -> Office:
    return Office(retinue, retinue.client(), upstream)


@pytest.fixture(scope="session", params=DIALECTS)
def strict_server(request: pytest.FixtureRequest, settings: dict[str, str]) -> Iterator[ForkedServer]:
    """Sweeps next to never, and takes ten messages in ten seconds."""
    limits = {"RETINUE_APPROVALS_SWEEP_SECONDS": "3600", "RETINUE_LIMITS_MESSAGES": "10"}
    with one_server(request, request.param, **{**settings, **limits}) as server:
        yield server


@pytest.fixture
def strict(strict_server: ForkedServer, upstream: ThreadedUpstream) -> Office:
    return Office(strict_server, strict_server.client(), upstream)


@pytest.fixture(scope="session", params=DIALECTS)
def hasty_server(request: pytest.FixtureRequest, settings: dict[str, str]) -> Iterator[ForkedServer]:
    """Waits half a second for people."""
    with one_server(request, request.param, **{**settings, "RETINUE_APPROVALS_TTL_SECONDS": "0.5"}) as server:
        yield server


@pytest.fixture
def hasty(hasty_server: ForkedServer, upstream: ThreadedUpstream) -> Office:
    return Office(hasty_server, hasty_server.client(), upstream)


@pytest.fixture(scope="session")
def replicas(request: pytest.FixtureRequest, settings: dict[str, str]) -> Iterator[Replicas]:
    """Two processes on PostgreSQL and Redis."""
    with two_servers(request, **settings) as pair:
        yield pair


@pytest.fixture
def offices(replicas: Replicas, upstream: ThreadedUpstream) -> tuple[Office, Office]:
    """The same company, reached through either replica."""
    here, there = (Office(server, server.client(), upstream) for server in replicas)
    return here, there


@pytest.fixture(params=DIALECTS)
def own_office(
    request: pytest.FixtureRequest, settings: dict[str, str], upstream: ThreadedUpstream
) -> Iterator[Office]:
    """A server that the test may stop or kill."""
    with one_server(request, request.param, **settings, RETINUE_RUNS_LEASE_SECONDS="1.5") as server:
        yield Office(server, server.client(), upstream)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers wrote beside the failure of a test that used them."""
    report = yield
    if report.failed:
        for name, used in getattr(item, "funcargs", {}).items():
            for one in used if name in ("offices", "replicas") else [used]:
                server = one.server if isinstance(one, Office) else one
                if isinstance(server, ForkedServer):
                    report.sections.append((f"output of {name} at {server.address}", server.process.tail(4000)))
    return report
