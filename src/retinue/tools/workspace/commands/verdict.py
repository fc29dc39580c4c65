"""What is found out about a command."""

import msgspec

from retinue.domain.tools import Effect, Risk


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one command would do. The paths are not followed yet."""

    action: str
    effect: Effect = Effect.WRITE
    risk: Risk = Risk.HIGH
    reason: str
    argv: tuple[str, ...] = ()
    """What is to be run; for a script the shell's words, for sudo what comes after it."""
    paths: tuple[str, ...] = ()
    """Files and directories that it names, as they are written."""
    sources: tuple[str, ...] = ()
    """Those that a command which writes only reads."""
    doubts: tuple[str, ...] = ()
    """All other texts that could be paths, should what is known about the program be wrong."""
    is_open_ended: bool = True
    """It may do more than its words say: only the kernel can keep it in the workspace."""
    needs_password: bool = False
    refusal: str | None = None


def refused(action: str, why: str) -> Verdict:
    return Verdict(action=action, reason=why, refusal=why)


def paths_among(words: tuple[str, ...]) -> tuple[str, ...]:
    """What looks as if it led out of the workspace, in the arguments of a program of which nothing is known."""
    values = (word.partition("=")[2] if word.startswith("-") else word for word in words)
    return tuple(value for value in values if value.startswith("/") or ".." in value.split("/"))
