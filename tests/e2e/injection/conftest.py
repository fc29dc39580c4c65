"""A server under attack, and those whom it must protect."""

import asyncio
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.injection.ground import World, canary, settle_neighbour
from tests.e2e.injection.model import Puppet, obedient_model
from tests.e2e.injection.receiver import Receiver, running_receiver
from tests.e2e.streams.servers import one_server
from tests.e2e.tools.sudo import FakeSudo
from tests.support.databases import DIALECTS, Dialect
from tests.support.forking import ForkedServer


@pytest.fixture(scope="session")
def fake() -> Iterator[Puppet]:
    """The model provider of all servers."""
    with obedient_model() as running:
        yield running


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Where nothing may arrive that nobody has allowed."""
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="session")
def sudo(tmp_path_factory: pytest.TempPathFactory) -> FakeSudo:
    """The only `sudo` on the workspaces' path."""
    return FakeSudo(tmp_path_factory.mktemp("sudo"))


def _world(request: pytest.FixtureRequest, dialect: Dialect) -> Iterator[World]:
    puppet: Puppet = request.getfixturevalue("fake")
    receiver: Receiver = request.getfixturevalue("receiver")
    sudo: FakeSudo = request.getfixturevalue("sudo")
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    workspaces, outside = factory.mktemp("workspaces"), factory.mktemp("outside")
    kinds = ("environment", "outside", "private key", "neighbour's key", "neighbour's order", "neighbour's file")
    secrets = {kind: canary(kind.replace(" ", "-").replace("'", "")) for kind in (*kinds, "neighbour's message")}
    _leave_outside(outside, secrets)
    settings = {
        "A_SECRET": secrets["environment"],
        "TESTS_TOOLS": "tests.e2e.injection.tools",
        "TESTS_RECEIVER": receiver.address,
        "RETINUE_WORKSPACE_ENABLED": "true",
        "RETINUE_WORKSPACE_ROOT": str(workspaces),
        "RETINUE_WORKSPACE_SUDO": "true",
        "RETINUE_WORKSPACE_PATH": f"{sudo.folder}:/usr/local/bin:/usr/bin:/bin",
    }
    with one_server(request, dialect, **settings) as server:
        secrets |= _keys_of(server)
        world = World(server, server.client(), puppet, receiver, workspaces, outside, secrets)
        asyncio.run(settle_neighbour(world))
        yield world


def _leave_outside(folder: Path, secrets: dict[str, str]) -> None:
    (folder / "ledger.csv").write_text("a,b\n")
    (folder / "secret.txt").write_text(secrets["outside"])
    (folder / "secret.json").write_text(f'"{secrets["outside"]}"')
    (folder / "papers").mkdir()
    (folder / "papers" / "memo.txt").write_text(secrets["outside"])
    (folder / ".ssh").mkdir()
    (folder / ".ssh" / "id_rsa").write_text(secrets["private key"])


def _keys_of(server: ForkedServer) -> dict[str, str]:
    name, _, key = server.environment["RETINUE_MASTER_KEYS"].partition(":")
    assert name
    assert server.key
    return {"master key": key, "operator key": server.key}


@pytest.fixture(scope="session")
def sqlite_world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from _world(request, "sqlite")


@pytest.fixture(scope="session")
def postgresql_world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from _world(request, "postgresql")


@pytest.fixture
def on_sqlite(sqlite_world: World) -> World:
    return _fresh(sqlite_world)


@pytest.fixture
def on_postgresql(postgresql_world: World) -> World:
    return _fresh(postgresql_world)


@pytest.fixture(params=DIALECTS)
def world(request: pytest.FixtureRequest) -> World:
    """Once on each database."""
    found: World = request.getfixturevalue(f"on_{request.param}")
    return found


def _fresh(world: World) -> World:
    """Without memories of other tests."""
    world.puppet.reset()
    world.puppet.model.asked.clear()
    world.puppet.model.pages.clear()
    world.receiver.arrived.clear()
    return world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the server wrote beside the failure of a test that used it."""
    report = yield
    if report.failed:
        for used in getattr(item, "funcargs", {}).values():
            if isinstance(used, World):
                report.sections.append(("output of the server", used.server.process.tail(4000)))
    return report
