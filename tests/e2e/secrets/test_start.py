"""A server says before it serves that it lacks a master key."""

import base64
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from tests.e2e.secrets.keys import NEW, OLD, listed, master, restart, rotate_keys
from tests.e2e.streams.talk import hire
from tests.support.databases import DIALECTS, fresh_database
from tests.support.forking import ForkedProcess, ForkedServer, Template, forked_retinue
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

SHORT = base64.b64encode(bytes(31)).decode()


@pytest.fixture(params=DIALECTS)
def server(
    request: pytest.FixtureRequest, template: Template, upstream: ThreadedUpstream, tmp_path: Path
) -> Iterator[ForkedServer]:
    with fresh_database(request, request.param, tmp_path, template="migrated_template") as url:
        environment = environment_for(url, allow=upstream.address, **listed(OLD))
        with forked_retinue(template, tmp_path, environment) as server:
            yield server


def refusal(template: Template, folder: Path, environment: dict[str, str]) -> str:
    """What `serve` says, which must not succeed nor show its insides."""
    log = folder / f"refused-{token_hex(4)}.log"
    process = ForkedProcess(template, ["serve"], log=log, env=environment, cwd=folder)
    assert process.wait(within=60) != 0
    said = log.read_text()
    assert "Traceback" not in said, said
    return said


async def test_a_key_that_was_taken_away_too_early(server: ForkedServer, template: Template) -> None:
    server.stop()
    said = refusal(template, server.folder, server.environment | listed(NEW))
    assert "The secret key_pepper in the database cannot be opened" in said
    assert "the master key that it needs is not in the list" in said
    assert "rotate-keys --check" in said
    server.environment |= listed(NEW, OLD)
    server.start()


async def test_a_key_that_has_another_value_under_its_old_name(server: ForkedServer, template: Template) -> None:
    server.stop()
    swapped = f"{OLD}:{master(NEW).partition(':')[2]}"
    said = refusal(template, server.folder, server.environment | {"RETINUE_MASTER_KEYS": swapped})
    assert "a master key is not what it was, or the row was altered" in said
    assert swapped not in said


async def test_what_tenants_have_under_a_lost_key_is_counted(
    server: ForkedServer, template: Template, upstream: ThreadedUpstream, tmp_path: Path
) -> None:
    """Others must not be without a server for it."""
    client = server.client()
    for _ in range(2):
        await hire(client, upstream)
    await restart(server, NEW, OLD)
    await rotate_keys(template, tmp_path, server.environment)
    assert "sealed_values_without_master_key" not in server.output
    await restart(server, "k3", NEW)
    await hire(client, upstream)
    await restart(server, NEW)
    (line,) = [line for line in server.output.splitlines() if "sealed_values_without_master_key" in line]
    assert '"values": 1' in line
    assert '"table": "tenant_configs"' in line


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("", "RETINUE_MASTER_KEYS is set but empty"),
        (f"k1:{SHORT}", "holds 31 bytes, not 32"),
        ("k1:not-base64!", "is not base64"),
        ("k1", "is not <id>:<base64 of 32 bytes>"),
        (f"{master(OLD)},{master(OLD)}", "repeats an id"),
        (f"k 1:{SHORT}", "is not <id>:<base64 of 32 bytes>"),
    ],
)
def test_lists_that_are_none(template: Template, tmp_path: Path, keys: str, reason: str) -> None:
    environment = environment_for(f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}", RETINUE_MASTER_KEYS=keys)
    for command in (["serve"], ["rotate-keys"]):
        log = tmp_path / f"{command[0]}.log"
        process = ForkedProcess(template, command, log=log, env=environment, cwd=tmp_path)
        assert process.wait(within=60) != 0
        said = log.read_text()
        assert reason in said
        assert SHORT not in said
        assert not (tmp_path / "retinue.db").exists()


def test_there_is_nothing_to_rotate_without_a_database(template: Template, tmp_path: Path) -> None:
    environment = environment_for(f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}", **listed(OLD))
    process = ForkedProcess(template, ["rotate-keys"], log=tmp_path / "log", env=environment, cwd=tmp_path)
    assert process.wait(within=60) == 1
    assert "There is no database" in (tmp_path / "log").read_text()
    assert not (tmp_path / "retinue.db").exists()
