"""What the gate says to each command of the corpus, and what comes of it when it is run after all."""

import time
from collections.abc import Callable

import pytest

from retinue.domain.errors import ToolError
from retinue.domain.policy import Permission
from retinue.domain.tools import Assessment, Effect, Risk
from retinue.runs.calls.gate import Allow, Ask, Deny, judge
from retinue.tools.workspace.commands import dangers, nested
from retinue.tools.workspace.commands.classify import classify
from retinue.tools.workspace.commands.dangers import danger
from retinue.tools.workspace.commands.privileged import ONLY_PLAIN
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
        ("hostname -v", "unknown", Effect.WRITE, Risk.HIGH),
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
    "unit",
    [
        *("a", "a ", "(", ":(", "fork ", "f(){", "function f {", "while ", "'", '"', "\\", "/proc", "$0", "a=", "-"),
        *("/", "//x", "sh ", "eval ", "rm;", "systemctl;", "sh 'rm; rm' "),
    ],
)
def test_long_commands_are_told_quickly(unit: str) -> None:
    began = time.process_time()
    classify((unit * 8_000)[:8_000])
    classify("x" + (unit * 8_000)[:7_998] + "y")
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    ("command", "most"),
    [
        ("sh " * 2_600, 1),
        ("sh " * 100 + "'sh " + "sh " * 90 + "'", 2),
        ("sh " + " ".join(f"w{number}" for number in range(1_000)), 1_000),
        ("sh " + "'sh x' " * 1_000, 2),
        ("sh " + " ".join(f"'sh {number}'" for number in range(800)), nested.MAX_PROGRAMS + 1),
    ],
)
def test_every_text_for_a_shell_is_looked_at_once(monkeypatch: pytest.MonkeyPatch, command: str, most: int) -> None:
    seen: list[str] = []

    def counted(text: str, words: tuple[str, ...]) -> str | None:
        seen.append(text)
        return danger(text, words)

    monkeypatch.setattr(nested, "danger", counted)
    verdict = classify(command)
    assert 0 < len(seen) <= most
    assert verdict.refusal == (ONLY_PLAIN if len(seen) > nested.MAX_PROGRAMS and most < 1_000 else None)


def test_the_words_after_a_program_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real: Callable[[str], str] = dangers._place

    def counted(argument: str) -> str:
        seen.append(argument)
        return real(argument)

    monkeypatch.setattr(dangers, "_place", counted)
    assert classify("rm;" * 2_600).refusal is None
    assert len(seen) <= 2 * 2_600
    assert classify("rm a; rm -rf /").refusal is not None


@pytest.mark.parametrize("text", ["/" * 100_000, "/" * 100_000 + "proc-", "/x" * 50_000])
def test_slashes_are_passed_over_once(text: str) -> None:
    began = time.process_time()
    assert danger(text, ()) is None
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("grep --regexp=one a b", ("a", "b")),
        ("grep -e one a b", ("a", "b")),
        ("grep one a b", ("a", "b")),
        ("find '' a -ls", ("", "a")),
        ("find '(x' a -ls", ("(x", "a")),
        ("find '!x' a", ("!x", "a")),
        ("find - a ! -name b", ("-", "a")),
        ("find a '(' -name b ')'", ("a",)),
        ("cat - a", ("-", "a")),
        ("df -x ext4 a", ("a",)),
    ],
)
def test_the_tables_know_what_is_a_path(command: str, paths: tuple[str, ...]) -> None:
    """By themselves: a second look at all words would hide their mistakes from other tests."""
    assert classify(command).paths == paths


@pytest.mark.parametrize("command", ["jq . notes.txt", "diff notes.txt notes.txt", "ps aux", "w"])
async def test_what_nothing_confines_is_of_the_highest_risk(site: Site, command: str) -> None:
    """They can read more than they are given, so without a kernel that keeps them in somebody is asked."""
    a_program_for(site, command)
    args = {"command": command}
    assert (await site.assessed("shell_exec_safe", args, confinement=TIGHT)).risk is not Risk.HIGH
    assert (await site.assessed("shell_exec_safe", args, confinement=LOOSE)).refusal is not None
    assessment = await site.assessed("shell_exec_safe", args, confinement=LOOSE, unconfined=True)
    assert assessment.risk is Risk.HIGH
    assert "Nothing keeps it" in assessment.reason


async def test_whether_a_program_outside_exists_is_not_told(site: Site) -> None:
    (site.outside / "secret.txt").chmod(0o755)
    there = await site.assessed("shell_exec_safe", {"command": f"{site.outside}/secret.txt"}, confinement=TIGHT)
    missing = await site.assessed("shell_exec_safe", {"command": f"{site.outside}/missing"}, confinement=TIGHT)
    assert (there.scope, missing.scope) == (f"{site.outside}/secret.txt", f"{site.outside}/missing")
    assert there.action_type == missing.action_type


async def test_what_is_no_path_by_the_tables_opens_nothing(site: Site) -> None:
    """It is asked for, in case that the tables are wrong."""
    command = f"grep {site.outside}/secret.txt notes.txt"
    assessment = await site.assessed("shell_exec_safe", {"command": command}, confinement=TIGHT)
    assert assessment.scope == f"{site.outside}/secret.txt (perhaps)"
    (site.home / "link").symlink_to(site.outside / "secret.txt")
    assessment = await site.assessed("shell_exec_safe", {"command": "ls -I link"}, confinement=TIGHT)
    assert assessment.scope == f"{site.outside}/secret.txt (perhaps)"


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
