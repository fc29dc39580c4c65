"""What becomes of a command when the processes above it end, and what they let it see."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from retinue.domain.errors import ToolError
from tests.unit.tools.workspace.conftest import CANARY, Newcomers, Site, attempt, change_launcher, marked, until
from tests.unit.tools.workspace.stubborn import BEGUN, STUBBORN, have_begun


async def test_a_supervisor_that_is_killed_leaves_nothing(
    site: Site, nothing_left: Callable[[], None], newcomers: Newcomers, mark: str
) -> None:
    task = asyncio.create_task(site.command(f"sleep 1000.{mark} & sleep 1001.{mark}", unconfined=True))
    await until(lambda: len(marked(mark)) == 3)
    (supervisor,) = newcomers.direct()
    supervisor.kill()
    error = await attempt(task)
    assert isinstance(error, ToolError)
    assert error.took_effect is None
    assert not marked(mark)
    nothing_left()


SERVER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from retinue.tools.base import Caller, Invocation
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings
tool = workspace_tools(WorkspaceSettings(root=Path(sys.argv[1]), unconfined=True))[2]
tenant = UUID(sys.argv[2])
caller = Caller(tenant_id=tenant, employee_id=tenant, conversation_id=tenant, run_id=tenant)
arguments = tool.read({"command": sys.argv[3]})
asyncio.run(tool.run(arguments, Invocation(caller=caller, call_id="c", idempotency_key="k")))
"""


def serving(site: Site, command: str) -> subprocess.Popen[bytes]:
    """A server of its own that runs a command."""
    return subprocess.Popen([sys.executable, "-c", SERVER, str(site.root), str(site.caller.tenant_id), command])


async def test_a_server_that_is_killed_leaves_nothing(site: Site, mark: str) -> None:
    server = serving(site, STUBBORN.format(mark=mark) + "sleep 1006")
    await until(lambda: have_begun(site) and len(marked(mark)) > BEGUN)
    server.send_signal(signal.SIGKILL)
    server.wait()
    await until(lambda: not marked(mark))


def is_over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return True


async def test_the_kernel_ends_a_command_with_its_supervisor(site: Site, mark: str) -> None:
    """Though the server cannot see to it at the moment."""
    server = serving(site, f"sleep 1000.{mark}")
    (sleeper,) = await until(lambda: [one for one in marked(mark) if one.name() == "sleep"])
    server.send_signal(signal.SIGSTOP)
    try:
        (supervisor,) = psutil.Process(server.pid).children()
        supervisor.kill()
        await until(lambda: is_over(sleeper))
    finally:
        server.kill()
        server.wait()


async def test_the_supervisor_needs_no_help(
    site: Site, nothing_left: Callable[[], None], monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    """It ends everything by itself as soon as it is told, long before the server would end it."""
    monkeypatch.setattr("retinue.tools.workspace.process._PATIENCE", 1_000.0)
    task = asyncio.create_task(site.command(f"sleep 1000.{mark}", unconfined=True))
    await until(lambda: marked(mark))
    task.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await task
    nothing_left()


BLIND = """
import resource
real = supervisor.Supervisor._watch
def watch(*arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    return real(*arguments)
supervisor.Supervisor._watch = watch
"""


@pytest.mark.parametrize("kernel", ["", "first.count_processes_anew = lambda **_: False"], ids=["all", "no namespaces"])
async def test_a_supervisor_that_cannot_see_ends_everything(
    site: Site, nothing_left: Callable[[], None], monkeypatch: pytest.MonkeyPatch, mark: str, kernel: str
) -> None:
    change_launcher(monkeypatch, f"{kernel}\n{BLIND}")
    error = await attempt(site.command(f"sleep 1000.{mark} & sleep 1001.{mark}", unconfined=True))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("tool_failed", None)
    assert not marked(mark)
    nothing_left()


async def test_no_process_on_the_way_has_the_servers_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch, newcomers: Newcomers, mark: str
) -> None:
    monkeypatch.setenv("RETINUE_SECRET", CANARY)
    task = asyncio.create_task(site.command(f"sleep 1000.{mark}", unconfined=True))
    await until(lambda: marked(mark))
    found = [child.environ() for child in newcomers.all()]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(found) >= 2
    assert CANARY not in repr(found)
