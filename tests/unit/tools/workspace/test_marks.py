"""Modes, owners, times and attributes of files outside stay as they are, by whichever means the system has."""

import os
from pathlib import Path
from typing import Any

import pytest

from retinue.tools.workspace.jobs import Job, Outcome
from retinue.tools.workspace.process import Stop, carry_out
from retinue.tools.workspace.workshop import Workshop
from tests.unit.tools.workspace.conftest import TIGHT, Site, change_launcher, needs_confinement

pytestmark = needs_confinement

MARKS = {
    "mode": "os.chmod('{outside}/secret.txt', 0o777)",
    "mode of a directory": "os.chmod('{outside}', 0)",
    "owner": "os.chown('{outside}/secret.txt', 65534, 65534)",
    "attributes": "os.setxattr('{outside}/secret.txt', 'user.x', b'x')",
    "times": "os.utime('{outside}/secret.txt', (1, 1))",
    "times of now": "os.utime('{outside}/secret.txt')",
}
OF_OPEN_FILES = {
    "mode": "os.fchmod(fd, 0o777)",
    "owner": "os.fchown(fd, 65534, 65534)",
    "attributes": "os.setxattr(fd, 'user.x', b'x')",
    "times": "os.utime(fd, (1, 1))",
}
KERNELS = {
    "all": "",
    "no mounts": "mounts.isolate = lambda *_, **__: mounts.View()",
    "no mounts, as root": "mounts.isolate = lambda *_, **__: mounts.View()\n"
    "child.identity._become_nobody = lambda _: False",
}


def marks_of(place: Path) -> tuple[Any, ...]:
    found = place.stat()
    return found.st_mode, found.st_uid, found.st_mtime_ns, os.listxattr(place)


def run(site: Site, code: str, *reads: Path) -> Outcome:
    """What comes of a program that may read something outside."""
    (site.home / "program.py").write_text(f"import os\n{code}\nprint('done')")
    workshop = Workshop(site.settings, TIGHT)
    reach = workshop.reaches.of_command(
        str(site.home), may_write=True, sees_machine=False, reads=map(str, reads), writes=()
    )
    job = Job(
        kind="run",
        home=str(site.home),
        limits=workshop.limits,
        reach=reach,
        environment=workshop.environment(str(site.home)),
        program="/usr/bin/env",
        argv=("env", "python3", "program.py"),
    )
    stop = Stop()
    try:
        return carry_out(job, stop, room=100_000)
    finally:
        stop.close()


@pytest.fixture(params=KERNELS)
def places(request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """What belongs to the server's user, on each kind of kernel."""
    places = (site.outside, site.outside / "secret.txt")
    for place in places:
        os.chown(place, os.getuid(), os.getgid())
    change_launcher(monkeypatch, KERNELS[request.param])
    return places


@pytest.mark.parametrize("mark", MARKS)
def test_by_path(site: Site, places: tuple[Path, ...], mark: str) -> None:
    before = [*map(marks_of, places)]
    outcome = run(site, MARKS[mark].format(outside=site.outside))
    assert b"done" not in outcome.stdout
    assert b"Error" in outcome.stderr
    assert [*map(marks_of, places)] == before


@pytest.mark.parametrize("mark", OF_OPEN_FILES)
def test_by_an_open_file(site: Site, places: tuple[Path, ...], mark: str) -> None:
    """Though a person has allowed to read it."""
    before = [*map(marks_of, places)]
    outcome = run(
        site, f"fd = os.open({str(places[1])!r}, os.O_RDONLY)\nprint('open')\n{OF_OPEN_FILES[mark]}", places[1]
    )
    assert outcome.stdout == b"open\n"
    assert [*map(marks_of, places)] == before


async def test_in_the_workspace(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mounts cannot be had, programs still can make files and pack them out."""
    command = "touch made; touch made; cp made copied; tar cf made.tar made; rm made; tar xf made.tar; ls"
    for kernel in ("all", "no mounts"):
        change_launcher(monkeypatch, KERNELS[kernel])
        result = await site.command(command)
        assert result["stdout"].split() == ["copied", "folder", "made", "made.tar", "notes.txt"], kernel
        assert (result["stderr"], result["exit_code"]) == ("", 0)
        monkeypatch.undo()
    result = await site.command("echo 'echo hello' > x.sh; chmod +x x.sh; touch -d @1 x.sh; ./x.sh")
    assert (result["stdout"], result["stderr"]) == ("hello\n", "")
    assert (site.home / "x.sh").stat().st_mtime == 1
