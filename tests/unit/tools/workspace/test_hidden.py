"""Secrets and scratch that lie beneath a directory which a person would allow."""

import os
from pathlib import Path

import msgspec
import pytest

from retinue.domain.policy import Permission
from retinue.domain.tools import Risk
from retinue.runs.calls.gate import Ask, Deny, judge
from retinue.tools.workspace import hidden
from retinue.tools.workspace.confinement import Confinement
from retinue.tools.workspace.grounds import Grounds
from retinue.tools.workspace.hidden import is_scratch, secrets_beneath
from tests.unit.tools.workspace.conftest import LOOSE, TIGHT, Site

NAMES = (".ssh/id_rsa", "deep/er/.env", "deep/id_ed25519", ".aws/credentials", "deep/.git-credentials")


def a_secret(site: Site, name: str) -> None:
    (site.outside / name).parent.mkdir(parents=True, exist_ok=True)
    (site.outside / name).write_text("secret")


@pytest.mark.parametrize("kernel", [TIGHT, LOOSE], ids=["confined", "unconfined"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_directory_with_secrets_is_not_opened(site: Site, name: str, kernel: Confinement) -> None:
    commands = (f"grep -r x {site.outside}", f"cp notes.txt {site.outside}/copy", f"python3 x.py {site.outside}/new")
    for command in commands:
        args = {"command": command}
        assessment = await site.assessed("shell_exec_safe", args, confinement=kernel, unconfined=True)
        assert isinstance(judge(assessment, Permission.WRITE), Ask)
    a_secret(site, name)
    for command in commands:
        args = {"command": command}
        assessment = await site.assessed("shell_exec_safe", args, confinement=kernel, unconfined=True)
        assert isinstance(judge(assessment, Permission.WRITE), Deny)
        assert "Secrets" in (assessment.refusal or "")


async def test_a_file_beside_secrets_is_still_asked_for(site: Site) -> None:
    a_secret(site, ".env")
    for name, args in (
        ("file_read", {"path": f"{site.outside}/secret.txt"}),
        ("list_dir", {"path": str(site.outside)}),
        ("shell_exec_safe", {"command": f"cat {site.outside}/secret.txt"}),
    ):
        assert isinstance(judge(await site.assessed(name, args, confinement=TIGHT), Permission.WRITE), Ask)


async def test_secrets_in_the_workspace_are_its_own(site: Site) -> None:
    (site.home / ".env").touch()
    assert (await site.assessed("shell_exec_safe", {"command": "grep -r x ."}, confinement=TIGHT)).refusal is None


async def test_what_is_too_much_to_look_through_is_of_the_highest_risk(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = {"command": f"grep -r x {site.outside}"}
    assert (await site.assessed("shell_exec_safe", command, confinement=TIGHT)).risk is Risk.LOW
    monkeypatch.setattr(hidden.secrets_beneath, "__defaults__", (3,))
    for number in range(4):
        (site.outside / str(number)).touch()
    assessment = await site.assessed("shell_exec_safe", command, confinement=TIGHT)
    assert assessment.risk is Risk.HIGH
    assert str(site.outside) in assessment.reason
    assert "secrets" in assessment.reason


def test_the_walk_is_bounded_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    (tmp_path / "one" / "back").symlink_to(tmp_path)
    assert secrets_beneath([str(tmp_path)], most=3) == "none"
    assert secrets_beneath([str(tmp_path)], most=2) == "unknown"
    assert secrets_beneath([str(tmp_path), str(tmp_path / "missing")], most=3) == "none"
    (tmp_path / "one" / "two" / ".ssh").mkdir()
    assert secrets_beneath([str(tmp_path)]) == "some"


async def test_directories_of_the_system_are_everybodys(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not looked through: every command may read them anyway."""
    monkeypatch.setattr(hidden.secrets_beneath, "__defaults__", (0,))
    assessment = await site.assessed("shell_exec_safe", {"command": "ls /usr/bin"}, confinement=TIGHT)
    assert assessment.risk is Risk.LOW


def test_where_commands_have_their_scratch_no_directory_is_opened(site: Site) -> None:
    """Others come and go there at any time."""
    grounds = Grounds(msgspec.structs.replace(site.settings, root=Path("/nowhere"), protected=()))
    scratch = f"{os.path.realpath('/tmp')}/retinue-{'a' * 32}"
    assert grounds.hides(os.path.dirname(scratch))
    assert grounds.hides(scratch) == (scratch,)
    assert grounds.hides(f"{scratch}/inner")
    assert not grounds.hides(f"{os.path.dirname(scratch)}/other")


async def test_the_scratch_of_a_command_is_known(site: Site) -> None:
    """By the names that it really gets."""
    result = await site.command("echo $TMPDIR", confinement=None)
    scratch = result["stdout"].strip()
    if not scratch:
        pytest.skip("commands that nothing confines get none")
    assert is_scratch(scratch)
    assert is_scratch(os.path.join(scratch, "draft"))
    assert not is_scratch(os.path.dirname(scratch))
    assert not is_scratch(f"{os.path.dirname(scratch)}/other")
