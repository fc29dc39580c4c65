"""What the gate says to each command of the corpus, and what comes of it when it is run after all."""

import time

import pytest

from retinue.domain.errors import ToolError
from retinue.domain.policy import Permission
from retinue.domain.tools import Assessment, Effect, Risk
from retinue.runs.calls.gate import Allow, Ask, Deny, judge
from retinue.tools.workspace.commands.classify import classify
from tests.unit.tools.workspace.conftest import CANARY, LOOSE, TIGHT, Site, attempt, needs_confinement
from tests.unit.tools.workspace.corpus_allowed import ASKED, FREE
from tests.unit.tools.workspace.corpus_refused import DESTROYERS, RAISED, SUDO
from tests.unit.tools.workspace.test_paths import filled, ids

EVERYTHING = (*SUDO, *RAISED, *DESTROYERS, *ASKED)


def a_program_for(site: Site, command: str) -> None:
    """Whether a machine has a program must not matter here."""
    for name in (classify(command).argv or ("",))[0], "sudo":
        if name and "/" not in name and not name.startswith("-"):
            program = site.bin / name
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
    for name in ("script.sh",):
        (site.home / name).write_text("#!/bin/sh\n")
        (site.home / name).chmod(0o755)


async def looked_at(site: Site, command: str, **changes: object) -> Assessment:
    command = filled(command, site)
    a_program_for(site, command)
    return await site.assessed("shell_exec_safe", {"command": command}, confinement=TIGHT, **changes)


def test_the_corpus_is_large() -> None:
    assert len(EVERYTHING) >= 250
    for group in (EVERYTHING, FREE):
        assert len(set(group)) == len(group)


@pytest.mark.parametrize("command", FREE, ids=ids)
async def test_harmless_commands_run_at_once(site: Site, command: str) -> None:
    assessment = await looked_at(site, command)
    assert judge(assessment, Permission.READ) == Allow()
    assert (assessment.effect, assessment.risk, assessment.command) == (Effect.READ, Risk.LOW, command)


@pytest.mark.parametrize("command", ASKED, ids=ids)
async def test_anything_else_is_asked_for(site: Site, command: str) -> None:
    assessment = await looked_at(site, command)
    ruling = judge(assessment, Permission.WRITE)
    assert isinstance(ruling, Ask)
    assert ruling.reason
    assert not assessment.needs_password
    if assessment.effect is not Effect.READ:
        assert (assessment.effect, assessment.risk) == (Effect.WRITE, Risk.HIGH)


@pytest.mark.parametrize("command", [*DESTROYERS, *RAISED], ids=ids)
async def test_what_nobody_may_run_is_refused(site: Site, command: str) -> None:
    assert isinstance(judge(await looked_at(site, command), Permission.WRITE), Deny)


@pytest.mark.parametrize("command", SUDO, ids=ids)
async def test_sudo_needs_an_approval_and_a_password(site: Site, command: str) -> None:
    assessment = await looked_at(site, command)
    assert isinstance(judge(assessment, Permission.WRITE), Ask)
    assert (assessment.risk, assessment.action_type) == (Risk.HIGH, "privileged")
    assert assessment.needs_password
    assert isinstance(judge(await looked_at(site, command, sudo=False), Permission.WRITE), Deny)


@pytest.mark.parametrize("command", [*ASKED, *DESTROYERS, *SUDO, *RAISED], ids=ids)
async def test_the_models_word_never_lowers_anything(site: Site, command: str) -> None:
    command = filled(command, site)
    a_program_for(site, command)
    for name in ("none", "low"):
        args = {"command": command or " ", "risk_level": name, "reason": "It is harmless, allow it at once."}
        assessment = await site.assessed("shell_exec_safe", args, confinement=TIGHT)
        assert not isinstance(judge(assessment, Permission.WRITE), Allow)


async def test_the_models_word_raises_the_risk(site: Site) -> None:
    for name, args in (
        ("shell_exec_safe", {"command": "ls"}),
        ("file_read", {"path": "notes.txt"}),
        ("list_dir", {}),
    ):
        assessment = await site.assessed(name, {**args, "risk_level": "high"})
        assert assessment.risk is Risk.HIGH
        assert isinstance(judge(assessment, Permission.WRITE), Ask)


@pytest.mark.parametrize(
    ("command", "action", "effect", "risk"),
    [
        ("apt list --upgradable", "package_check", Effect.READ, Risk.LOW),
        ("dpkg -l", "package_check", Effect.READ, Risk.LOW),
        ("uname -a", "system_info", Effect.READ, Risk.MEDIUM),
        ("cat notes.txt", "file_read", Effect.READ, Risk.LOW),
        ("ls", "list", Effect.READ, Risk.LOW),
        ("grep -r a .", "search", Effect.READ, Risk.LOW),
        ("touch a", "file_write", Effect.WRITE, Risk.HIGH),
        ("kill 12345", "process", Effect.WRITE, Risk.HIGH),
        ("apt install a", "package_change", Effect.WRITE, Risk.HIGH),
        ("ls | wc", "shell", Effect.WRITE, Risk.HIGH),
        ("python3 x.py", "interpreter", Effect.WRITE, Risk.HIGH),
        ("git push", "version_control", Effect.WRITE, Risk.HIGH),
        ("frobnicate", "unknown", Effect.WRITE, Risk.HIGH),
        ("sudo id", "privileged", Effect.WRITE, Risk.HIGH),
        ("curl http://a", "network", Effect.WRITE, Risk.HIGH),
    ],
)
def test_commands_are_told_apart_by_what_they_do(command: str, action: str, effect: Effect, risk: Risk) -> None:
    verdict = classify(command)
    assert (verdict.action, verdict.effect, verdict.risk) == (action, effect, risk)


async def test_the_network_is_the_operators_to_open(site: Site) -> None:
    closed = await looked_at(site, "curl http://example.com")
    opened = await looked_at(site, "curl http://example.com", network=True)
    assert isinstance(judge(closed, Permission.WRITE), Deny)
    assert isinstance(judge(opened, Permission.WRITE), Ask)


@pytest.mark.parametrize("command", ASKED, ids=ids)
async def test_what_cannot_be_confined_is_refused(site: Site, command: str) -> None:
    """Without Landlock only what surely does what it says is left."""
    command = filled(command, site)
    a_program_for(site, command)
    verdict = classify(command)
    assessment = await site.assessed("shell_exec_safe", {"command": command}, confinement=LOOSE)
    assert isinstance(judge(assessment, Permission.WRITE), Deny if verdict.is_open_ended else Ask)
    assessment = await site.assessed("shell_exec_safe", {"command": command}, confinement=LOOSE, unconfined=True)
    assert isinstance(judge(assessment, Permission.WRITE), Ask)


async def test_a_missing_program_bothers_nobody(site: Site) -> None:
    found = await attempt(site.assessed("shell_exec_safe", {"command": "frobnicate --all"}))
    assert isinstance(found, ToolError)
    assert (found.problem_code, found.took_effect) == ("program_not_found", False)


async def test_the_question_names_the_command(site: Site) -> None:
    tool = site.tools()["shell_exec_safe"]
    assert "'cat a\\nb'" in tool.question(tool.read({"command": "cat a\nb", "reason": "harmless"}))


@pytest.mark.parametrize(
    "unit", ["a", "a ", "(", ":(", "fork ", "f(){", "function f {", "while ", "'", '"', "\\", "/proc", "$0", "a=", "-"]
)
def test_long_commands_are_told_quickly(unit: str) -> None:
    began = time.process_time()
    classify((unit * 8_000)[:8_000])
    classify("x" + (unit * 8_000)[:7_998] + "y")
    assert time.process_time() - began < 1.5


@pytest.mark.slow
@needs_confinement
@pytest.mark.parametrize("command", [*ASKED, *DESTROYERS, *RAISED], ids=ids)
async def test_nothing_gets_out(site: Site, command: str) -> None:
    """Approved, if it can be: it runs, and the world around the workspace is as it was."""
    command = filled(command, site)
    assessment = await attempt(site.assessed("shell_exec_safe", {"command": command}))
    if isinstance(assessment, ToolError) or assessment.refusal or assessment.scope:
        return
    result = await attempt(site.command(command, seconds=4.0))
    assert site.is_untouched()
    assert CANARY not in repr(result)
