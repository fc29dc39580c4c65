"""The password goes to sudo and nowhere else."""

import ast
import asyncio
import gc
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from retinue.domain.errors import PasswordRefused, ToolError
from retinue.domain.secret import Secret
from retinue.tools.workspace.jobs import Prompt
from retinue.tools.workspace.output import was_refused, without_secrets
from tests.unit.tools.workspace.conftest import PASSWORD, Newcomers, Site, attempt, change_launcher, until

REPEAT = f"sh -c 'echo got {PASSWORD}; echo {PASSWORD}{PASSWORD} >&2'"


@pytest.fixture(autouse=True)
def _sudo(site: Site) -> None:
    site.give_sudo()


def log(site: Site) -> str:
    file = site.path / "sudo.log"
    return file.read_text() if file.exists() else ""


async def test_the_right_password_runs_the_command(site: Site, nothing_left: Callable[[], None]) -> None:
    result = await site.allowed("shell_exec_safe", {"command": "sudo echo done"}, password=PASSWORD)
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("done\n", "", 0)
    nothing_left()


async def test_the_command_is_run_by_sudo_as_it_was_shown(site: Site) -> None:
    await site.allowed("shell_exec_safe", {"command": "env sudo -u nobody echo 'a  b' c"}, password=PASSWORD)
    assert "'-u', 'nobody', '--', 'echo', 'a  b', 'c']" in log(site)
    assert "'-S', '-k', '-p'" in log(site)


@pytest.mark.parametrize("tries", [1, 3])
async def test_a_wrong_password_runs_nothing(site: Site, nothing_left: Callable[[], None], tries: int) -> None:
    """Whether sudo asks again, or gives up at once."""
    site.give_sudo(tries=tries)
    command = {"command": "sudo touch made"}
    error = await attempt(site.allowed("shell_exec_safe", command, password="wrong"))
    assert isinstance(error, PasswordRefused)
    assert error.took_effect is False
    assert not (site.home / "made").exists()
    nothing_left()
    await site.allowed("shell_exec_safe", command, password=PASSWORD)
    assert (site.home / "made").exists()


async def test_without_a_password_nothing_is_started(site: Site) -> None:
    error = await attempt(site.command("sudo echo done"))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("password_missing", False)
    assert log(site) == ""


async def test_output_does_not_hold_it(site: Site) -> None:
    result = await site.allowed("shell_exec_safe", {"command": "sudo " + REPEAT}, password=PASSWORD)
    assert result["stdout"] == "got [redacted]\n"
    assert result["stderr"] == "[redacted][redacted]\n"


async def test_output_that_breaks_off_in_it_holds_no_part_of_it(site: Site) -> None:
    room = len("[") + 32 + len("]") + 10
    command = f"sudo sh -c 'printf %s got-{'x' * room}; printf %s {PASSWORD}'"
    result = await site.allowed(
        "shell_exec_safe", {"command": command}, password=PASSWORD, output_bytes=room + len("got-") + 8
    )
    assert result["stdout"] == "got-" + "x" * room
    prompt = Prompt("[marker]", Secret(PASSWORD))
    for size in range(1, len(PASSWORD)):
        cut = b"got " + PASSWORD[:size].encode()
        assert without_secrets(cut, prompt, is_cut=True) == b"got "
    assert without_secrets(b"got " + PASSWORD.encode(), prompt, is_cut=True) == b"got [redacted]"


async def test_no_argument_and_no_environment_holds_it(site: Site, newcomers: Newcomers) -> None:
    """While the command runs: every process that came from this one is looked at."""
    script = "sh -c 'touch started; while [ ! -e enough ]; do sleep 0.05; done'"
    task = asyncio.create_task(site.allowed("shell_exec_safe", {"command": "sudo " + script}, password=PASSWORD))
    await until((site.home / "started").exists)
    found = [text for child in newcomers.all() for text in (repr(child.cmdline()), repr(child.environ()))]
    (site.home / "enough").touch()
    await task
    assert any("started" in text for text in found)
    assert PASSWORD not in repr(found)
    assert PASSWORD not in log(site)


@pytest.mark.parametrize("password", [PASSWORD, "wrong-" + PASSWORD])
async def test_no_file_holds_it(site: Site, password: str) -> None:
    (site.bin / "sudo").write_text((site.bin / "sudo").read_text().replace(repr(PASSWORD), "''"))
    await attempt(site.allowed("shell_exec_safe", {"command": "sudo echo done"}, password=password))
    holders = []
    for parent, _, files in os.walk(site.path):
        for name in files:
            with open(os.path.join(parent, name), "rb") as file:
                holders += [name] if PASSWORD.encode() in file.read() else []
    assert holders == ["sudo"], "only the double itself knows it"


@pytest.mark.parametrize(
    ("password", "changes"),
    [("wrong-" + PASSWORD, {}), (PASSWORD, {"seconds": 2.0}), (PASSWORD, {"output_bytes": 1})],
    ids=["wrong", "too slow", "too much"],
)
async def test_no_error_holds_it(site: Site, password: str, changes: dict[str, Any]) -> None:
    """Not even with the values of all variables in its traceback."""
    tool = site.tools(**changes)["shell_exec_safe"]
    result = await attempt(tool.run(tool.read({"command": "sudo sleep 1000"}), site.invocation("", password)))
    if isinstance(result, ToolError):
        shown = traceback.TracebackException.from_exception(result, capture_locals=True)
        own = [frame for frame in shown.stack if "retinue" in frame.filename and "tests" not in frame.filename]
        assert PASSWORD not in repr([(frame.locals, frame.line) for frame in own])
        assert PASSWORD not in "".join(traceback.format_exception(result))
    assert PASSWORD not in repr(result)


async def test_a_crash_in_the_middle_holds_it_not(
    site: Site, monkeypatch: pytest.MonkeyPatch, newcomers: Newcomers
) -> None:
    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr("retinue.tools.workspace.process.output.asked", crash)
    tool = site.tools()["shell_exec_safe"]
    with pytest.raises(RuntimeError) as caught:
        await tool.run(tool.read({"command": "sudo echo done"}), site.invocation("", PASSWORD))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if "test_passwords" not in frame.filename]
    assert PASSWORD not in repr([(frame.locals, frame.line) for frame in own])
    gc.collect()
    assert not newcomers.all()


async def test_sudo_that_asks_nothing_runs_nothing(site: Site) -> None:
    """Root's does not, nor one that is told not to. What reads the input would be the command."""
    (site.bin / "sudo").write_text('#!/bin/sh\n[ "$5" = -l ] && exit 0\nshift 5\nexec timeout 1 "$@"\n')
    command = {"command": "sudo sh -c 'cat > stolen'"}
    error = await attempt(site.allowed("shell_exec_safe", command, password=PASSWORD))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("password_not_asked", False)
    assert not (site.home / "stolen").exists()


async def test_what_sudo_does_not_allow_is_not_begun(site: Site) -> None:
    (site.bin / "sudo").write_text((site.bin / "sudo").read_text().replace("sys.exit(0)", "sys.exit(1)"))
    error = await attempt(site.allowed("shell_exec_safe", {"command": "sudo touch made"}, password=PASSWORD))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("not_permitted", False)
    assert not (site.home / "made").exists()


async def test_sudo_is_tried_out_without_the_command(site: Site) -> None:
    await site.allowed("shell_exec_safe", {"command": "sudo -H -u nobody echo made"}, password=PASSWORD)
    trial, run = (ast.literal_eval(line)[0][5:] for line in log(site).splitlines())
    assert trial == ["-l", "-u", "nobody", "--", "echo", "made"]
    assert run == ["-H", "-u", "nobody", "--", "echo", "made"]
    (site.path / "sudo.log").unlink()
    await attempt(site.allowed("shell_exec_safe", {"command": "sudo touch made"}, password="wrong"))
    assert [ast.literal_eval(line)[0][5] for line in log(site).splitlines()] == ["-l"]


LIES = {
    "a refusal": "echo 'sudo: 1 incorrect password attempt' >&2; exit 1",
    "another question": "sed -n \"s/.*'-p', '\\([^']*\\)'.*/\\1/p\" {log} | tail -1 >&2; cat >> stolen; sleep 1000",
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_command_cannot_say_that_it_has_not_run(site: Site, lie: str) -> None:
    """Or it would be run again, or get the password itself."""
    (site.home / "deploy.sh").write_text(
        f": > stolen; echo x >> made\n{LIES[lie].format(log=site.path / 'sudo.log')}\n"
    )
    error = await attempt(site.allowed("shell_exec_safe", {"command": "sudo sh deploy.sh"}, password=PASSWORD))
    assert isinstance(error, ToolError)
    assert not isinstance(error, PasswordRefused)
    assert error.took_effect is None
    assert (site.home / "made").read_text() == "x\n"
    assert (site.home / "stolen").read_text() == ""


async def test_both_calls_have_the_time_of_one(site: Site) -> None:
    slow = (site.bin / "sudo").read_text().replace("sys.exit(0)", "time.sleep(2); sys.exit(0)")
    (site.bin / "sudo").write_text(slow.replace("import os, sys", "import os, sys, time"))
    command = {"command": "sudo sleep 1000"}
    began = time.monotonic()
    error = await attempt(site.allowed("shell_exec_safe", command, password=PASSWORD, seconds=4.0))
    assert isinstance(error, ToolError)
    assert error.problem_code == "tool_timeout"
    assert time.monotonic() - began < 5.5


ENDLESS = {
    "sleep 1000": ("tool_timeout", "It took longer than 4 seconds and goes on: this server's user may not end it."),
    "sh -c 'for n in $(seq 80); do sleep 1000 & done; wait'": ("tool_failed", "What became of the process is unknown."),
}


@pytest.mark.parametrize("endless", ENDLESS)
async def test_what_cannot_be_ended_is_not_said_to_be(
    site: Site, monkeypatch: pytest.MonkeyPatch, endless: str
) -> None:
    """Such as what sudo has started, for a server that is not root."""
    change_launcher(
        monkeypatch, "real = supervisor.tree.end_all\nsupervisor.tree.end_all = lambda *a, **k: real(*a, **k) and False"
    )
    command = {"command": f"sudo {endless}"}
    error = await attempt(site.allowed("shell_exec_safe", command, password=PASSWORD, seconds=4.0))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.detail) == ENDLESS[endless]
    assert error.took_effect is None


async def test_only_the_systems_sudo_is_used(site: Site) -> None:
    """A file of that name in the workspace gets no password."""
    thief = site.home / "sudo"
    thief.write_text("#!/bin/sh\ncat > stolen\n")
    thief.chmod(0o755)
    await site.allowed("shell_exec_safe", {"command": "sudo echo done"}, password=PASSWORD)
    assert not (site.home / "stolen").exists()
    assert (await site.assessed("shell_exec_safe", {"command": "./sudo echo done"})).refusal


@pytest.mark.parametrize("kept", ["[marker]", "[marker]Sorry, try again.\n", "lecture\n[marker]\n"])
def test_giving_up_is_told_from_a_failing_command(kept: str) -> None:
    prompt = Prompt("[marker]", Secret("x"))
    gave_up = (kept + "sudo: 1 incorrect password attempt\n").encode()
    assert was_refused(1, b"", gave_up, prompt)
    assert not was_refused(0, b"", gave_up, prompt)
    assert not was_refused(1, b"output", gave_up, prompt)
    assert not was_refused(1, b"", kept.encode(), prompt)
    assert not was_refused(1, b"", gave_up + b"and more", prompt)
    assert not was_refused(1, b"", b"sudo: 1 incorrect password attempt\n", prompt)
