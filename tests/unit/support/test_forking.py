"""Servers forked from a template are real servers: they answer, die, come back, and share nothing but imports."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.processes import DidNotStart
from tests.support.server import environment_for, is_ready

pytestmark = pytest.mark.slow


@pytest.fixture
def server(template: Template, tmp_path: Path) -> Iterator[ForkedServer]:
    environment = environment_for(f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}")
    with forked_retinue(template, tmp_path, environment) as running:
        yield running


async def test_it_answers_and_survives_being_killed(server: ForkedServer) -> None:
    conversation = await server.client().hire()
    assert server.kill() == -signal.SIGKILL
    assert not is_ready(server.port)
    server.start()
    assert (await server.client().ask(conversation.id, "Tea, please.")).text == "Tea, please."
    assert server.stop() == 0


async def test_forks_draw_different_ids(template: Template, server: ForkedServer, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    environment = environment_for(f"sqlite+aiosqlite:///{folder / 'retinue.db'}")
    with forked_retinue(template, folder, environment) as other:
        tenants = [await one.client().create_tenant() for one in (server, other)]
    assert tenants[0].id.bytes[8:] != tenants[1].id.bytes[8:]


def test_a_frozen_process_is_killed_all_the_same(server: ForkedServer) -> None:
    server.process.send_group(signal.SIGSTOP)
    assert server.process.is_running
    assert server.kill() == -signal.SIGKILL
    assert not server.process.is_running


def test_one_that_cannot_start_shows_what_it_said(template: Template, tmp_path: Path) -> None:
    environment = environment_for("nonsense://")
    with pytest.raises(DidNotStart, match="ended with 2"), forked_retinue(template, tmp_path, environment):
        pass
