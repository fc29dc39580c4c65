"""sudo is tried out before it runs anything, so that no command can pass itself off as a refused password."""

from typing import Literal

import msgspec

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace import failures
from retinue.tools.workspace.jobs import Job, Outcome

ROOM = 65_536
_LIST = "-l"
"""Ask whether the command may be run, and run nothing."""
_NOT_FOR_LISTS = frozenset({"-H", "--set-home"})
_BEFORE_OPTIONS = 5
"""sudo -S -k -p <marker>"""

_DOES_NOT_ASK = (
    "sudo asks this server's user for no password, so nobody can answer for the command. Retinue does not use it so."
)
_NOT_ALLOWED = "sudo does not allow this server's user to run this command."


def trial(job: Job) -> Job:
    """The same call of sudo, up to where the command would begin."""
    before, after = job.argv[:_BEFORE_OPTIONS], job.argv[_BEFORE_OPTIONS:]
    end = after.index("--")
    options = [word for word in after[:end] if word not in _NOT_FOR_LISTS]
    return msgspec.structs.replace(job, argv=(*before, _LIST, *options, *after[end:]))


def check(outcome: Outcome, *, seconds: float) -> None:
    """Let pass what may be run with this password.

    sudo that does not ask would hand the password to a command that only looks like it.

    Raises: ToolError, PasswordRefused: nothing has happened.
    """
    failures.check(outcome, seconds=seconds, took_effect=False)
    if outcome.exit_code == 0 and not outcome.asked:
        raise _refusal("password_not_asked", _DOES_NOT_ASK)
    if outcome.end != "ended" or outcome.exit_code != 0:
        raise _refusal("not_permitted", _NOT_ALLOWED)


def _refusal(code: Literal["password_not_asked", "not_permitted"], detail: str) -> ToolError:
    return ToolError(detail, kind=ToolErrorKind.AUTH, code=code, took_effect=False)
