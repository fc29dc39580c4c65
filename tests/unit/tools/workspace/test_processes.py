"""Processes end when they have to, with all that came from them, and nobody waits for them on the event loop."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace import following, grounds, processes
from retinue.tools.workspace.confinement import Confinement
from retinue.tools.workspace.settings import WorkspaceSettings
from tests.unit.tools.workspace.conftest import (
    LOOSE,
    Newcomers,
    Site,
    attempt,
    change_launcher,
    marked,
    needs_confinement,
    until,
)
from tests.unit.tools.workspace.stubborn import BEGUN, STUBBORN, have_begun

KERNELS = [pytest.param(None, id="confined", marks=needs_confinement), pytest.param(LOOSE, id="unconfined")]


@pytest.mark.parametrize(
    "namespaces", ["", "first.count_processes_anew = lambda **_: False"], ids=["all", "no namespaces"]
)
@pytest.mark.parametrize("kernel", KERNELS)
async def test_nothing_survives_the_end(
    *,
    site: Site,
    nothing_left: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    kernel: Confinement | None,
    mark: str,
    namespaces: str,
) -> None:
    change_launcher(monkeypatch, namespaces)
    command = STUBBORN.format(mark=mark) + "while [ $(wc -l < begun) -lt 6 ]; do sleep 0.05; done; echo over; exit 3"
    result = await site.command(command, confinement=kernel, unconfined=True)
    assert (result["stdout"], result["exit_code"]) == ("over\n", 3)
    assert not marked(mark)
    nothing_left()


@pytest.mark.parametrize("kernel", KERNELS)
async def test_nothing_survives_the_end_of_its_time(
    site: Site, nothing_left: Callable[[], None], kernel: Confinement | None, mark: str
) -> None:
    command = STUBBORN.format(mark=mark) + "sleep 1006"
    error = await attempt(site.command(command, confinement=kernel, unconfined=True, seconds=4.0))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.kind, error.took_effect) == ("tool_timeout", ToolErrorKind.TRANSIENT, None)
    assert have_begun(site)
    assert not marked(mark)
    nothing_left()


@pytest.mark.parametrize("kernel", KERNELS)
async def test_nothing_survives_a_cancellation(
    site: Site, nothing_left: Callable[[], None], kernel: Confinement | None, mark: str
) -> None:
    command = STUBBORN.format(mark=mark) + "sleep 1006"
    task = asyncio.create_task(site.command(command, confinement=kernel, unconfined=True))
    await until(lambda: have_begun(site) and len(marked(mark)) > BEGUN)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not marked(mark)
    nothing_left()


async def test_cancelling_twice_does_not_leave_earlier(site: Site, nothing_left: Callable[[], None], mark: str) -> None:
    task = asyncio.create_task(site.command(f"sleep 1000.{mark}", unconfined=True))
    await until(lambda: marked(mark))
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not marked(mark)
    nothing_left()


@pytest.mark.parametrize("wait", [0, 1, 5])
async def test_a_cancellation_at_any_moment(site: Site, nothing_left: Callable[[], None], wait: int) -> None:
    """Also before the process has started."""
    task = asyncio.create_task(site.command("sleep 1000", unconfined=True))
    for _ in range(wait):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    nothing_left()


async def test_a_look_at_a_file_leaves_nothing(site: Site, nothing_left: Callable[[], None]) -> None:
    for _ in range(3):
        await site.allowed("file_read", {"path": "notes.txt"})
        await attempt(site.allowed("file_read", {"path": "missing"}))
    nothing_left()


async def test_the_loop_does_not_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that touches files or starts processes is called in the loop's thread."""
    tools, secret = site.tools(), f"{site.outside}/secret.txt"
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("file_read", {"path": "notes.txt"}, ""),
        ("list_dir", {}, ""),
        ("shell_exec_safe", {"command": "cat notes.txt"}, ""),
        ("shell_exec_safe", {"command": f"cp {secret} copy"}, secret),
        ("shell_exec_safe", {"command": f"cp notes.txt {site.outside}"}, f"{site.outside} (write)"),
    ]
    loop_thread = threading.get_ident()
    seen: set[str] = set()

    def watched(module: Any, name: str) -> None:
        real = getattr(module, name)

        def call(*args: Any, **more: Any) -> Any:
            assert threading.get_ident() != loop_thread, name
            seen.add(name)
            return real(*args, **more)

        monkeypatch.setattr(module, name, call)

    watched(subprocess, "Popen")
    watched(following.Follower, "follow")
    watched(grounds.Grounds, "make_home")
    watched(os, "read")
    watched(os.path, "isdir")
    for name, args, scope in calls:
        tool = tools[name]
        arguments = tool.read(args)
        assert (await tool.assess(arguments, site.caller)).scope == scope
        await tool.run(arguments, site.invocation(scope))
    assert seen == {"Popen", "follow", "make_home", "read", "isdir"}


async def test_too_many_at_once_are_told_to_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch, newcomers: Newcomers
) -> None:
    monkeypatch.setattr(processes, "AT_ONCE_PER_TENANT", 1)
    tool = site.tools()["shell_exec_safe"]
    arguments = tool.read({"command": "sleep 1000"})
    first = asyncio.create_task(tool.run(arguments, site.invocation()))
    await until(newcomers.all)
    error = await attempt(tool.run(arguments, site.invocation()))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.kind) == ("workspace_busy", ToolErrorKind.TRANSIENT)
    assert error.took_effect is False
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    result = await tool.run(tool.read({"command": "echo again"}), site.invocation())
    assert result["stdout"] == "again\n"


async def test_no_process_can_be_started(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(site.path / "missing"))
    error = await attempt(site.command("ls"))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("workspace_unavailable", False)
    assert str(site.path) not in error.detail


def test_the_settings_have_the_documented_defaults() -> None:
    settings = WorkspaceSettings(root=Path("x"))
    assert (settings.outside, settings.sudo, settings.unconfined, settings.network) == ("ask", False, False, False)


async def test_many_at_once(site: Site, nothing_left: Callable[[], None]) -> None:
    tool = site.tools()["shell_exec_safe"]
    began = time.monotonic()
    results = await asyncio.gather(
        *(tool.run(tool.read({"command": f"echo {number}"}), site.invocation()) for number in range(6))
    )
    assert [result["stdout"] for result in results] == [f"{number}\n" for number in range(6)]
    assert time.monotonic() - began < 20
    nothing_left()
