"""A server that runs commands of employees keeps its memory and environment from their user."""

import os
import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace

import pytest

from retinue import server
from retinue.observability.redaction import Redactor
from retinue.server import privacy, worker_main
from retinue.settings import Settings, load
from retinue.settings.transfer import pack
from tests.unit.tools.workspace.test_ordinary_user import NOBODY, interpreter

HOLDER = """
import resource, runpy, sys
keep_private = runpy.run_path(sys.argv[1])["keep_private"]
sys.argv[2] == "kept" and keep_private()
print(resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
@pytest.mark.parametrize("kept", [True, False])
def test_another_process_of_the_user_cannot_look(*, kept: bool) -> None:
    python = interpreter()
    if python is None:
        pytest.skip("no interpreter that another user may start")
    user = NOBODY if os.geteuid() == 0 else None
    holder = subprocess.Popen(
        [python, "-c", HOLDER, privacy.__file__, "kept" if kept else "open"],
        env={"KEY": "canary"},
        user=user,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        writes_no_core = holder.stdout.readline() == "True\n"
        looked = subprocess.run(
            ["cat", f"/proc/{holder.pid}/environ"], user=user, cwd="/", capture_output=True, text=True, check=False
        )
    finally:
        holder.communicate()
    assert ("canary" in looked.stdout) != kept
    assert writes_no_core or not kept


class Begun(Exception):
    """The process keeps itself private."""


class WentOn(Exception):
    """The process does what comes after it."""


def begin() -> None:
    raise Begun


def go_on(_: Settings) -> None:
    raise WentOn


@pytest.mark.parametrize("enabled", [True, False])
def test_it_does_so_where_there_are_commands(monkeypatch: pytest.MonkeyPatch, *, enabled: bool) -> None:
    """Before it listens, and each worker before it serves."""
    settings = load(environ={"RETINUE_WORKSPACE_ENABLED": str(enabled).lower(), "RETINUE_HOST": "203.0.113.1"})
    monkeypatch.setattr(server, "keep_private", begin)
    monkeypatch.setattr(worker_main, "keep_private", begin)
    monkeypatch.setattr(worker_main, "log_to_stderr", go_on)
    with pytest.raises(Begun if enabled else server.CannotListen):
        server.run(settings, Redactor())
    parent = SimpleNamespace(makefile=lambda _: BytesIO(pack(settings)))
    monkeypatch.setattr(worker_main, "socket", SimpleNamespace(socket=lambda **_: parent))
    with pytest.raises(Begun if enabled else WentOn):
        worker_main.main(0, 0)
