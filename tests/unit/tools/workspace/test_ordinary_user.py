"""The tools do their work, and confine as well, where the server does not run as root."""

import json
import os
import shutil
import site as python_site
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from retinue.tools.workspace import registry
from tests.unit.tools.workspace import ordinary
from tests.unit.tools.workspace.conftest import needs_confinement, one_bomb_at_a_time

NOBODY = 65_534


def interpreter() -> str | None:
    """One that every user may start, of this version."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        code = f"import sys; assert sys.version_info[:2] == {sys.version_info[:2]}"
        try:
            if subprocess.run([path, "-c", code], user=NOBODY, check=False, capture_output=True).returncode == 0:
                return path
        except OSError:
            continue
    return None


def may_make_namespaces() -> bool:
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x30000000) != 0)"
    user = NOBODY if os.geteuid() == 0 else None
    return subprocess.run([interpreter() or sys.executable, "-c", code], user=user, check=False).returncode == 0


CHANGES = {
    "all": "",
    "no namespaces": "first.count_processes_anew = lambda **_: False\nmounts.isolate = lambda *_, **__: mounts.View()",
}


@pytest.fixture(scope="module", params=CHANGES)
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What an ordinary user's server finds, where that user may make namespaces and where not."""
    with one_bomb_at_a_time():
        return look(request.param)


def look(kernel: str) -> dict[str, Any]:
    is_root = os.geteuid() == 0
    python = interpreter() if is_root else sys.executable
    if python is None:
        pytest.skip("no interpreter that another user may start")
    packages = [str(Path(registry.__file__).parents[3]), *python_site.getsitepackages()]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copy(ordinary.__file__, place / "ordinary.py")
        shutil.chown(place, NOBODY, NOBODY) if is_root else None
        (place / "place").mkdir()
        shutil.chown(place / "place", NOBODY, NOBODY) if is_root else None
        done = subprocess.run(
            [python, str(place / "ordinary.py"), str(place / "place"), CHANGES[kernel]],
            env={"PYTHONPATH": ":".join(packages), "PATH": "/usr/bin:/bin", "CANARY": "canary"},
            user=NOBODY if is_root else None,
            cwd=place,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "kernel": kernel}


def test_it_was_an_ordinary_user(found: dict[str, Any]) -> None:
    assert found["user"] != 0


def test_files_are_read_and_listed(found: dict[str, Any]) -> None:
    assert found["listed"]["entries"] == []
    assert found["read"]["content"] == "one\n"
    assert found["outside"]["path"] == "/etc/machine-id"


def test_commands_run(found: dict[str, Any]) -> None:
    assert found["cat"]["stdout"] == "one\n"


@needs_confinement
def test_commands_can_write_in_the_workspace(found: dict[str, Any]) -> None:
    assert (found["wrote"]["stdout"], found["wrote"]["exit_code"]) == ("two\n", 0)


@needs_confinement
@pytest.mark.parametrize("name", ["opened", "killed", "environment", "chmod"])
def test_what_is_the_same_users_is_out_of_reach(found: dict[str, Any], name: str) -> None:
    assert "done" not in found[name]["stdout"]
    assert found[name]["exit_code"] != 0
    assert found["mode"] & 0o077 == found["mode"] & 0o044


@needs_confinement
def test_other_processes_are_out_of_reach(found: dict[str, Any]) -> None:
    """The server, another process of its user, the supervisor: none can be slowed down, limited or blinded."""
    assert found["hands off"]["stdout"] == "over\n"
    assert found["hands off"]["exit_code"] == 0


@needs_confinement
@pytest.mark.skipif(not may_make_namespaces(), reason="ordinary users may make no namespaces here")
def test_other_processes_do_not_exist(found: dict[str, Any]) -> None:
    has_own = found["kernel"] == "all"
    assert (int(found["seen"]["stdout"]) < 10) == has_own
    assert ("ps aux" in found["processes"]["stdout"]) == has_own
    assert "sleep" not in found["processes"]["stdout"]


@needs_confinement
def test_temporary_files_are_gone_afterwards(found: dict[str, Any]) -> None:
    assert found["maze"]["exit_code"] == 0
    assert not Path(found["maze"]["stdout"].strip()).exists()


@needs_confinement
def test_processes_without_end_are_ended(found: dict[str, Any]) -> None:
    assert not isinstance(found["bomb"], str), found["bomb"]
    assert found["bomb"]["stopped"] == "processes"
    assert not [p for p in psutil.process_iter(["cmdline"]) if found["program"] in (p.info["cmdline"] or [])]
