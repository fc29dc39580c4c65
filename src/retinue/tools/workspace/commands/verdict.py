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
    is_open_ended: bool = True
    """It may do more than its words say: only the kernel can keep it in the workspace."""
    needs_password: bool = False
    refusal: str | None = None


def refused(action: str, why: str) -> Verdict:
    return Verdict(action=action, reason=why, refusal=why)
