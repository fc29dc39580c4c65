"""Telling what a command would do. Pure: it looks at the text only."""

import re

import msgspec

from retinue.domain.tools import Effect, Risk
from retinue.tools.workspace.commands.calls import name_of
from retinue.tools.workspace.commands.characters import is_deceptive
from retinue.tools.workspace.commands.dangers import danger
from retinue.tools.workspace.commands.doubts import doubts
from retinue.tools.workspace.commands.nested import nested_danger
from retinue.tools.workspace.commands.options import understand
from retinue.tools.workspace.commands.privileged import ONLY_PLAIN, Raised, Unsupported, raised, raises_in
from retinue.tools.workspace.commands.programs import (
    FIND_TESTS,
    KINDS,
    LOOSE_READERS,
    PACKAGE_CHECKS,
    READERS,
    SYSTEM,
    TEXT_ONLY,
)
from retinue.tools.workspace.commands.syntax import Malformed, Plain, Script, parse
from retinue.tools.workspace.commands.verdict import Verdict, paths_among, refused
from retinue.tools.workspace.commands.writers import writer

_LINES = re.compile(r"(\d+|\$)(,(\d+|\$))?p")
_ONLY_FOR_SHELLS = frozenset({"builtin", "command", "exec"})
_UNKNOWN = "Nothing is known about this program."


def classify(text: str) -> Verdict:
    """What a command line would do.

    Whatever is not surely harmless is taken for a write of the highest risk.
    """
    if is_deceptive(text, allowed="\t\n"):
        return refused("invalid", "The command contains characters that cannot be seen.")
    match parse(text):
        case Malformed(detail):
            return refused("invalid", detail)
        case Script() as script:
            return _script(script)
        case Plain(words):
            return _plain(text, words)


def _script(script: Script) -> Verdict:
    why = danger(script.text, script.words) or nested_danger(script.words)
    if why:
        return refused("shell", why)
    if raises_in(script):
        return refused("privileged", ONLY_PLAIN)
    return Verdict(action="shell", reason="It is a program for the shell.", argv=("sh", "-c", script.text))


def _plain(text: str, words: tuple[str, ...]) -> Verdict:
    why = danger(text, words) or nested_danger(words)
    if why:
        return refused(_kind_of(words), why)
    match raised(words):
        case Unsupported(detail):
            return refused("privileged", detail)
        case Raised(options, argv):
            why = danger(text, argv)
            if why:
                return refused("privileged", why)
            return Verdict(
                action="privileged",
                reason="It acts with the rights of another user, outside of all limits of the workspace.",
                argv=(*options, "--", *argv),
                needs_password=True,
            )
    if words[0] in _ONLY_FOR_SHELLS:
        return _script(Script(text, words))
    return _program(words)


def _program(words: tuple[str, ...]) -> Verdict:
    if written := writer(words):
        return written
    known = _package_check(words) or _reader(words) or _system(words) or _other(words)
    return known if words[0] in TEXT_ONLY else msgspec.structs.replace(known, doubts=doubts(words[1:], known.paths))


def _kind_of(words: tuple[str, ...]) -> str:
    kind = KINDS.get(name_of(words[0]))
    return kind.action if kind else "dangerous"


def _read(action: str, risk: Risk, reason: str, words: tuple[str, ...], paths: tuple[str, ...]) -> Verdict:
    return Verdict(
        action=action,
        effect=Effect.READ,
        risk=risk,
        reason=reason,
        argv=words,
        paths=paths,
        is_open_ended=name_of(words[0]) in LOOSE_READERS,
    )


def _package_check(words: tuple[str, ...]) -> Verdict | None:
    forms = PACKAGE_CHECKS.get(words[0], {})
    form = forms.get(words[1]) if len(words) > 1 else None
    if form is None or understand(words[2:], form) is None:
        return None
    return _read("package_check", Risk.LOW, "It lists packages.", words, ())


def _reader(words: tuple[str, ...]) -> Verdict | None:
    reason = "It only reads."
    if words[0] == "find":
        paths = _paths_of_find(words[1:])
        return None if paths is None else _read("search", Risk.LOW, reason, words, paths)
    if words[0] == "sed" and words[1:2] == ("-n",) and len(words) > 2 and _LINES.fullmatch(words[2]):
        files = words[3:]
        is_plain = not any(file.startswith("-") for file in files)
        return _read("file_read", Risk.LOW, reason, words, files) if is_plain else None
    action, form = READERS.get(words[0], ("", None))
    read = understand(words[1:], form) if form else None
    return None if read is None else _read(action, Risk.LOW, reason, words, read.paths)


def _paths_of_find(arguments: tuple[str, ...]) -> tuple[str, ...] | None:
    first = next((place for place, word in enumerate(arguments) if _begins_expression(word)), len(arguments))
    tests = [word for word in arguments[first:] if word.startswith("-") and not word[1:2].isdigit()]
    return arguments[:first] if set(tests) <= FIND_TESTS else None


def _begins_expression(word: str) -> bool:
    """For find `(x`, `!x`, `-` and the empty word are paths."""
    return (word.startswith("-") and word != "-") or word in ("(", "!")


def _system(words: tuple[str, ...]) -> Verdict | None:
    form = SYSTEM.get(words[0])
    read = understand(words[1:], form) if form else None
    if read is None or (words[0] == "date" and not all(operand.startswith("+") for operand in read.operands)):
        return None
    return _read("system_info", Risk.MEDIUM, "It tells about the machine that the server runs on.", words, read.paths)


def _other(words: tuple[str, ...]) -> Verdict:
    kind = KINDS.get(name_of(words[0]))
    action, reason = (kind.action, kind.what) if kind else ("unknown", _UNKNOWN)
    return Verdict(action=action, reason=reason, argv=words, paths=paths_among(words[1:]))
