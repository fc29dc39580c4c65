"""Temporary files live as long as the command that made them."""

import fcntl
import os
import signal
from pathlib import Path

import psutil
import pytest

from retinue.domain.errors import ToolError
from retinue.tools.workspace.launch import scratch
from tests.unit.tools.workspace.conftest import Site, attempt, change_launcher, marked, needs_confinement, until
from tests.unit.tools.workspace.test_supervisors import serving

pytestmark = needs_confinement

MAZE = """
import os
os.chdir(os.environ["TMPDIR"])
open("big", "wb").write(bytes(1_000_000))
os.symlink("/etc", "link"); os.mkdir("locked"); open("locked/file", "w"); os.mkdir("locked/inner")
os.chmod("locked/inner", 0); os.chmod("locked", 0)
for number in range(3000): os.mkdir("d"); os.symlink("/etc", "l"); os.chdir("d")
print(os.environ["TMPDIR"])
"""


async def test_they_are_gone_afterwards(site: Site) -> None:
    result = await site.command("mktemp; mkdir $TMPDIR/a; ln -s /etc $TMPDIR/a/b; touch $TMPDIR/a/c; echo $TMPDIR")
    place = Path(result["stdout"].splitlines()[-1])
    assert place.parent != Path("/")
    assert result["stdout"].startswith(f"{place}/")
    assert not place.exists()
    assert Path("/etc/passwd").exists()


async def test_no_depth_is_too_great(site: Site) -> None:
    (site.home / "maze.py").write_text(MAZE)
    result = await site.command("python3 maze.py")
    assert result["exit_code"] == 0, result
    assert not Path(result["stdout"].strip()).exists()
    assert Path("/etc/passwd").exists()


async def test_where_they_cannot_be_made_nothing_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    change_launcher(monkeypatch, f"supervisor.Scratch.__init__.__globals__['_PARENT'] = '{site.path}/missing'")
    for command in ("touch made", "cat notes.txt"):
        error = await attempt(site.command(command))
        assert isinstance(error, ToolError)
        assert (error.problem_code, error.took_effect) == ("workspace_unavailable", False)
    assert not (site.home / "made").exists()


async def test_the_next_server_removes_what_killed_ones_left(
    site: Site, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    server = serving(site, f"mkdir -p $TMPDIR/a/b; echo $TMPDIR > place; sleep 1000.{mark}")
    file = site.home / "place"
    await until(lambda: file.exists() and file.read_text().endswith("\n"))
    place = Path(file.read_text().strip())
    monkeypatch.setattr(scratch, "_LOCKED_AFTER", -1.0)
    scratch.sweep()
    assert place.exists(), "it is in use"
    [supervisor] = psutil.Process(server.pid).children()
    server.send_signal(signal.SIGSTOP)
    supervisor.kill()
    server.kill()
    server.wait()
    await until(lambda: not marked(mark))
    assert place.exists()
    site.tools()
    assert not place.exists()


def test_only_what_is_old_and_its_own_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_PARENT", str(tmp_path))
    victim = tmp_path / "victim"
    (victim / "inner").mkdir(parents=True)
    first, second, link = (f"retinue-{digit * 32}" for digit in "123")
    others = ("another", "retinue-backup", f"retinue-{'1' * 33}", f"retinue-{'g' * 32}", f"old-{first}")
    for name in (first, second, *others):
        (tmp_path / name).mkdir()
    (tmp_path / link).symlink_to(victim)
    (tmp_path / first / "link").symlink_to(victim)
    scratch.sweep()
    assert (tmp_path / first).exists(), "it is new"
    monkeypatch.setattr(scratch, "_LOCKED_AFTER", -1.0)
    fd = os.open(tmp_path / second, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    scratch.sweep()
    os.close(fd)
    assert set(os.listdir(tmp_path)) == {*others, second, link, "victim"}
    assert (victim / "inner").exists()
