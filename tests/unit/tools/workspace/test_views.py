"""What a command finds of the machine, of other processes and of its tenant's settings."""

import asyncio
import os
import subprocess
import sys

import pytest

from retinue.domain.errors import ToolError
from retinue.tools.workspace import confinement
from retinue.tools.workspace.confinement import Confinement, probe
from tests.unit.tools.workspace.conftest import (
    CANARY,
    LOOSE,
    TIGHT,
    Site,
    attempt,
    change_launcher,
    marked,
    needs_confinement,
    until,
)

NO_PROCESSES = "first.count_processes_anew = lambda **_: False"
NO_PROC = (
    "real = mounts._isolate\n"
    "def isolate(places, *, has_own_processes):\n"
    "    assert not has_own_processes\n"
    "    real(places, has_own_processes=False)\n"
    "mounts._isolate = isolate"
)
OLD_LANDLOCK = "landlock.abi = lambda: 5"


@needs_confinement
@pytest.mark.parametrize("change", ["", NO_PROCESSES, NO_PROC], ids=["all", "no namespaces", "no /proc"])
async def test_no_command_lines_of_others_are_seen(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: str, mark: str
) -> None:
    """Where they cannot be hidden one by one, all are."""
    change_launcher(monkeypatch, change)
    other = asyncio.create_task(site.command(f"sh -c 'sleep 1000.{mark}; : {CANARY}'"))
    await until(lambda: marked(mark))
    result = await site.command("ps aux")
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert CANARY not in result["stdout"]
    assert ("ps aux" in result["stdout"]) == (change == "")


@needs_confinement
async def test_a_command_about_the_machine_still_tells(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in ("", NO_PROC):
        change_launcher(monkeypatch, change)
        for command, told in (("free", "Mem:"), ("uptime", "load average"), ("uname -a", "Linux"), ("nproc", "")):
            result = await site.command(command)
            assert (result["exit_code"], told in result["stdout"]) == (0, True), result
        monkeypatch.undo()


@needs_confinement
async def test_processes_outside_do_not_exist(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where /proc still shows them, and Landlock stops no signals."""
    change_launcher(monkeypatch, f"{NO_PROC}\n{OLD_LANDLOCK}")
    (site.home / "kill.py").write_text(
        f"import os, signal\nfor n in ({os.getpid()}, {os.getppid()}):\n"
        "    try: os.kill(n, 0); print('there')\n    except ProcessLookupError: print('nothing')"
    )
    result = await site.command("python3 kill.py", confinement=Confinement(5, True, True))
    assert result["stdout"].split() == ["nothing", "nothing"]


@needs_confinement
async def test_nothing_runs_where_signals_would_reach_others(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel was thought to have more than it has."""
    change_launcher(monkeypatch, f"{NO_PROCESSES}\n{OLD_LANDLOCK}")
    error = await attempt(site.command("touch made", confinement=TIGHT))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("cannot_confine", False)
    assert not (site.home / "made").exists()


@pytest.mark.parametrize(
    ("kernel", "is_tight"),
    [
        (Confinement(landlock_abi=2, filters_calls=True, hides_processes=True), False),
        (Confinement(landlock_abi=3, filters_calls=True), False),
        (Confinement(landlock_abi=5, filters_calls=True), False),
        (Confinement(landlock_abi=3, filters_calls=True, hides_processes=True), True),
        (Confinement(landlock_abi=6, filters_calls=True), True),
        (Confinement(landlock_abi=6, filters_calls=False, hides_processes=True), False),
    ],
)
def test_what_is_tight(kernel: Confinement, *, is_tight: bool) -> None:
    assert kernel.is_tight == is_tight


@pytest.mark.parametrize("abi", [0, 2, 3, 5, 6, 7])
def test_namespaces_are_tried_out_where_they_matter(monkeypatch: pytest.MonkeyPatch, abi: int) -> None:
    works = subprocess.run([sys.executable, "-I", "-S", confinement.LAUNCHER, "probe"], check=False).returncode == 0
    monkeypatch.setattr("retinue.tools.workspace.launch.landlock.abi", lambda: abi)
    assert probe().hides_processes == (works and 3 <= abi <= 5)


@pytest.mark.parametrize("kernel", [pytest.param(None, marks=needs_confinement), LOOSE], ids=["confined", "unconfined"])
async def test_what_only_reads_obeys_no_file_of_the_tenants(site: Site, kernel: Confinement | None) -> None:
    """It runs without an approval, so nothing that the tenant can write says what it does."""
    program = site.bin / "cat"
    program.write_text('#!/bin/sh\nls -a "$HOME" "${XDG_CONFIG_HOME:-$HOME/.config}" 2> /dev/null; echo "$HOME"\n')
    program.chmod(0o755)
    assert (await site.command("cat notes.txt", confinement=kernel))["stdout"] == "/nonexistent\n"
    result = await site.command("echo $HOME; cd; pwd", confinement=kernel, unconfined=True)
    assert result["stdout"].split() == [str(site.home)] * 2
