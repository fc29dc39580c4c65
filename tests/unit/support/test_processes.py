"""Processes are waited for, stopped, and their output is shown."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import DidNotStart, ServerProcess

SLEEPS = "import time; time.sleep(60)"
IGNORES_TERM = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
signal.pause()
"""
STARTS_A_CHILD = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""
STARTS_A_SERVER = """
import sys, time
from pathlib import Path
from tests.support.processes import ServerProcess
print(ServerProcess(["sleep", "60"], log=Path(sys.argv[1])).pid, flush=True)
time.sleep(60)
"""
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def start(code: str, folder: Path, *arguments: str) -> ServerProcess:
    return ServerProcess([sys.executable, "-c", code, *arguments], log=folder / "log", cwd=Path.cwd())


def printed_pid(process: ServerProcess) -> int:
    process.wait_until(lambda: process.tail().endswith("\n"), within=20)
    return int(process.tail())


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody collects does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_one_that_ends_early_shows_its_output(tmp_path: Path) -> None:
    process = start("raise SystemExit('no such luck')", tmp_path)
    with pytest.raises(DidNotStart, match=r"ended with 1; its output ends:\nno such luck"):
        process.wait_until(lambda: False, within=20)


def test_one_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    process = start(SLEEPS, tmp_path)
    with pytest.raises(DidNotStart, match="is not ready"):
        process.wait_until(lambda: False, within=0.05)
    assert process.stop() == -signal.SIGTERM


def test_one_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    process = start(IGNORES_TERM, tmp_path)
    process.wait_until(lambda: "up" in process.tail(), within=20)
    assert process.stop(within=0.05) == -signal.SIGKILL


@needs_proc
def test_killing_takes_the_children_along(tmp_path: Path) -> None:
    process = start(STARTS_A_CHILD, tmp_path)
    child = printed_pid(process)
    process.kill()
    clock = start(SLEEPS, tmp_path)
    clock.wait_until(lambda: not is_alive(child), within=10)
    clock.kill()


@needs_proc
def test_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    outer = start(STARTS_A_SERVER, tmp_path, str(tmp_path / "inner"))
    inner = printed_pid(outer)
    clock = start(SLEEPS, tmp_path)
    os.kill(outer.pid, signal.SIGKILL)
    outer.wait(within=5)
    clock.wait_until(lambda: not is_alive(inner), within=10)
    clock.kill()
