"""Telling what a command would do. Pure: it looks at the text only."""

import re

from retinue.domain.tools import Effect, Risk
from retinue.tools.workspace.commands.calls import name_of
from retinue.tools.workspace.commands.dangers import danger
from retinue.tools.workspace.commands.options import Read, understand
from retinue.tools.workspace.commands.privileged import ONLY_PLAIN, Raised, Unsupported, raised, raises_in
from retinue.tools.workspace.commands.programs import (
    COPIERS,
    FIND_TESTS,
    KINDS,
    LOOSE_READERS,
    PACKAGE_CHECKS,
    READERS,
    SHELLS,
    SYSTEM,
    WRITERS,
)
from retinue.tools.workspace.commands.syntax import Malformed, Plain, Script, parse, rough_words
from retinue.tools.workspace.commands.verdict import Verdict, refused

MAX_DEPTH = 4
"""Of shells inside shells."""
_LINES = re.compile(r"(\d+|\$)(,(\d+|\$))?p")
_ONLY_FOR_SHELLS = frozenset({"builtin", "command", "exec"})
_UNKNOWN = "Nothing is known about this program."


def classify(text: str) -> Verdict:
    """What a command line would do.

    Whatever is not surely harmless is taken for a write of the highest risk.
    """
    if any(not char.isprintable() and char not in "\t\n" for char in text):
        return refused("invalid", "The command contains characters that cannot be seen.")
    match parse(text):
        case Malformed(detail):
            return refused("invalid", detail)
        case Script() as script:
            return _script(script)
        case Plain(words):
            return _plain(text, words)


def _script(script: Script) -> Verdict:
    why = danger(script.text, script.words) or _nested(script.words)
    if why:
        return refused("shell", why)
    if raises_in(script):
        return refused("privileged", ONLY_PLAIN)
    return Verdict(action="shell", reason="It is a program for the shell.", argv=("sh", "-c", script.text))


def _plain(text: str, words: tuple[str, ...]) -> Verdict:
    why = danger(text, words) or _nested(words)
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
    known = _package_check(words) or _reader(words) or _system(words) or _writer(words)
    return known or _other(words)


def _kind_of(words: tuple[str, ...]) -> str:
    kind = KINDS.get(name_of(words[0]))
    return kind.action if kind else "dangerous"


def _nested(words: tuple[str, ...], depth: int = 0) -> str | None:
    """Why the program that is handed to another shell may not run."""
    for place, word in enumerate(words[:-1]):
        if name_of(word) not in SHELLS and word != "eval":
            continue
        for text in words[place + 1 :]:
            inner = rough_words(text)
            why = danger(text, inner)
            if why is None and (depth == MAX_DEPTH or raises_in(Script(text, inner))):
                why = ONLY_PLAIN
            if why is None and len(inner) > 1:
                why = _nested(inner, depth + 1)
            if why:
                return why
    return None


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
    first = next((place for place, word in enumerate(arguments) if word[:1] in "-(!"), len(arguments))
    tests = [word for word in arguments[first:] if word.startswith("-") and not word[1:2].isdigit()]
    return arguments[:first] if set(tests) <= FIND_TESTS else None


def _system(words: tuple[str, ...]) -> Verdict | None:
    form = SYSTEM.get(words[0])
    read = understand(words[1:], form) if form else None
    if read is None or (words[0] == "date" and not all(operand.startswith("+") for operand in read.operands)):
        return None
    return _read("system_info", Risk.MEDIUM, "It tells about the machine that the server runs on.", words, read.paths)


def _writer(words: tuple[str, ...]) -> Verdict | None:
    form = WRITERS.get(words[0])
    if form is None:
        return None
    read: Read | None = understand(words[1:], form)
    paths = read.paths if read else _paths_among(words[1:])
    sources = paths[:-1] if read and words[0] in COPIERS else ()
    return Verdict(
        action="file_write",
        reason="It changes files.",
        argv=words,
        sources=sources,
        paths=paths[len(sources) :],
        is_open_ended=read is None,
    )


def _other(words: tuple[str, ...]) -> Verdict:
    kind = KINDS.get(name_of(words[0]))
    action, reason = (kind.action, kind.what) if kind else ("unknown", _UNKNOWN)
    return Verdict(action=action, reason=reason, argv=words, paths=_paths_among(words[1:]))


def _paths_among(words: tuple[str, ...]) -> tuple[str, ...]:
    """What looks as if it led out of the workspace."""
    values = (word.partition("=")[2] if word.startswith("-") else word for word in words)
    return tuple(value for value in values if value.startswith("/") or ".." in value.split("/"))
