"""A tenant's workspace, with a neighbour and a world around it that must stay as they are."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from retinue.domain.errors import ToolError
from retinue.domain.ids import new_id
from retinue.domain.secret import Secret
from retinue.domain.tools import Assessment
from retinue.tools.base import Caller, Invocation, Tool
from retinue.tools.workspace import registry
from retinue.tools.workspace.confinement import Confinement, probe
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings

CANARY = "canary-b7e1f04c"
"""Stands wherever nothing of the workspace may get to."""
PASSWORD = "hunter2-Zq9-canary-pass"
TIGHT = Confinement(landlock_abi=7, filters_calls=True)
LOOSE = Confinement(landlock_abi=0, filters_calls=False)

needs_confinement = pytest.mark.skipif(not probe().is_tight, reason="this kernel cannot confine processes")


class Site:
    """Everything around one tenant's workspace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.caller = Caller(tenant_id=new_id(), employee_id=new_id(), conversation_id=new_id(), run_id=new_id())
        self.root = path / "workspaces"
        self.home = self.root / str(self.caller.tenant_id)
        self.neighbour = self.root / str(new_id())
        self.outside = path / "outside"
        self.data = path / "data"
        self.bin = path / "bin"
        for directory in (self.home, self.neighbour, self.outside, self.data, self.bin):
            directory.mkdir(parents=True)
        for directory in (self.neighbour, self.outside, self.data):
            (directory / "secret.txt").write_text(CANARY)
        (self.home / "notes.txt").write_text("one\ntwo\nthree\n")
        (self.home / "folder").mkdir()
        (self.home / "folder" / "inner.txt").write_text("inner\n")
        self.settings = WorkspaceSettings(
            root=self.root,
            protected=(self.data,),
            path=f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            seconds=20.0,
            sudo=True,
        )

    def tools(self, confinement: Confinement | None = None, **changes: Any) -> dict[str, Tool[Any]]:
        settings = msgspec.structs.replace(self.settings, **changes)
        return {tool.name: tool for tool in workspace_tools(settings, confinement)}

    async def assessed(
        self, name: str, args: dict[str, Any], *, confinement: Confinement | None = None, **changes: Any
    ) -> Assessment:
        tool = self.tools(confinement, **changes)[name]
        return await tool.assess(tool.read(args), self.caller)

    async def command(self, command: str, **changes: Any) -> Any:
        """What comes of a command that a person has allowed."""
        return await self.allowed("shell_exec_safe", {"command": command}, **changes)

    async def allowed(
        self,
        name: str,
        args: dict[str, Any],
        *,
        password: str | None = None,
        confinement: Confinement | None = None,
        between: Callable[[], Any] = lambda: None,
        **changes: Any,
    ) -> Any:
        tool = self.tools(confinement, **changes)[name]
        arguments = tool.read(args)
        assessment = await tool.assess(arguments, self.caller)
        assert assessment.refusal is None, assessment.refusal
        between()
        return await tool.run(arguments, self.invocation(assessment.scope, password))

    def invocation(self, scope: str = "", password: str | None = None) -> Invocation:
        secret = None if password is None else Secret(password)
        return Invocation(caller=self.caller, call_id="c", idempotency_key="k", scope=scope, password=secret)

    def give_sudo(self, *, password: str = PASSWORD, tries: int = 3) -> None:
        """A sudo that does what the real one does with `-S -k -p` and `-l`, and writes down how it was called."""
        script = self.bin / "sudo"
        script.write_text(SUDO.format(python=sys.executable, password=password, tries=tries, log=str(self.path)))
        script.chmod(0o755)

    def is_untouched(self) -> bool:
        places = (self.neighbour, self.outside, self.data)
        kept = all(os.listdir(place) == ["secret.txt"] for place in places)
        return kept and all((place / "secret.txt").read_text() == CANARY for place in places)


SUDO = """#!{python}
import os, sys
log = open("{log}/sudo.log", "a")
log.write(repr((sys.argv, dict(os.environ))) + "\\n")
log.close()
arguments = sys.argv[1:]
assert arguments[:3] == ["-S", "-k", "-p"]
marker, arguments = arguments[3], arguments[4:]
runs_nothing = arguments[:1] == ["-l"]
for turn in range({tries}):
    os.write(2, marker.encode())
    line = b""
    while not line.endswith(b"\\n"):
        letter = os.read(0, 1)
        if not letter:
            os.write(2, b"\\nsudo: no password was provided\\n")
            sys.exit(1)
        line += letter
    if line == b"{password}\\n":
        command = arguments[arguments.index("--") + 1:]
        if runs_nothing:
            print("/usr/bin/" + " ".join(command))
            sys.exit(0)
        os.execvp(command[0], command)
    os.write(2, b"Sorry, try again.\\n")
os.write(2, b"sudo: {tries} incorrect password attempts\\n")
sys.exit(1)
"""


@contextlib.contextmanager
def one_bomb_at_a_time(*, is_bomb: bool = True) -> Iterator[None]:
    """Over all test processes: a user's processes are counted together, and bombs take all that there may be."""
    with (Path(tempfile.gettempdir()) / "retinue-tests-bombs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if is_bomb else fcntl.LOCK_SH)
        yield


@pytest.fixture
def bombs_alone() -> None:
    """Marks tests of bombs."""


@pytest.fixture(autouse=True)
def away_from_bombs(request: pytest.FixtureRequest) -> Iterator[None]:
    with one_bomb_at_a_time(is_bomb="bombs_alone" in request.fixturenames):
        yield


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class Newcomers:
    """The processes below this one that a test has started; others have servers and databases running here."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self._before = {child.pid for child in self._me.children(recursive=True)}

    def direct(self) -> list[psutil.Process]:
        return [child for child in self._me.children() if child.pid not in self._before]

    def all(self) -> list[psutil.Process]:
        return [child for child in self._me.children(recursive=True) if child.pid not in self._before]


@pytest.fixture
def newcomers() -> Newcomers:
    return Newcomers()


@pytest.fixture
async def nothing_left(newcomers: Newcomers) -> Callable[[], None]:
    """Fails if processes or descriptors of this process are more than they were."""
    me = psutil.Process()
    descriptors = me.num_fds()

    def check() -> None:
        assert not newcomers.all()
        assert me.num_fds() <= descriptors

    return check


def change_launcher(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Have the processes of the workspace run a line of Python first, with the modules of `launch` at hand."""
    real, source = subprocess.Popen, str(Path(registry.__file__).parents[3])
    code = (
        f"import runpy, sys; sys.argv = sys.argv[1:]; sys.path.append({source!r})\n"
        "from retinue.tools.workspace.launch import child, first, landlock, mounts, supervisor, syscall_filter\n"
        f"{change}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )

    def start(command: list[str], **more: Any) -> Any:
        return real([*command[:3], "-c", code, *command[3:]], **more)

    monkeypatch.setattr(subprocess, "Popen", start)


async def attempt(work: Awaitable[Any]) -> Any:
    """What comes of it, or the typed error that did."""
    try:
        return await work
    except ToolError as error:
        return error


async def until(ready: Callable[[], Any], within: float = 15.0) -> Any:
    """Poll for a state."""
    deadline = time.monotonic() + within
    while not (found := ready()):
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.01)
    return found


@pytest.fixture
def mark() -> str:
    """In the arguments of every process of a test, however it hides."""
    return str(secrets.randbelow(10**12) + 10**12)


def marked(mark: str) -> list[psutil.Process]:
    """All processes with a text in their arguments."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if any(mark in argument for argument in process.info["cmdline"] or ())
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
