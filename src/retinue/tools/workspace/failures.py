"""What is said when the work of a process could not be done."""

from typing import Literal

from retinue.domain.errors import PasswordRefused, ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace.jobs import Outcome

_NOT_BEGUN: dict[str, tuple[str, ToolErrorKind, str]] = {
    "not_found": ("not_found", ToolErrorKind.VALIDATION, "There is nothing of that name."),
    "not_permitted": ("not_permitted", ToolErrorKind.AUTH, "The server's own user may not open this."),
    "wrong_kind": ("wrong_kind", ToolErrorKind.VALIDATION, "This is not the kind of thing that was asked for."),
    "path_changed": (
        "path_changed",
        ToolErrorKind.VALIDATION,
        "The path leads elsewhere than when it was looked at. Try again.",
    ),
    "cannot_confine": ("cannot_confine", ToolErrorKind.UNKNOWN, "This server could not confine the process."),
    "not_started": ("workspace_unavailable", ToolErrorKind.TRANSIENT, "The process could not be started."),
}


def not_begun(code: str) -> ToolError:
    """Nothing has happened, for the reason that the process gave."""
    word, kind, detail = _NOT_BEGUN.get(code, _NOT_BEGUN["not_started"])
    return ToolError(detail, kind=kind, code=word, took_effect=False)


def path_changed() -> ToolError:
    return not_begun("path_changed")


def check(outcome: Outcome, *, seconds: float, took_effect: Literal[False] | None = None) -> None:
    """Let pass what has a result worth telling.

    Raises: ToolError, PasswordRefused.
    """
    match outcome.end:
        case "failed":
            raise not_begun(outcome.code)
        case "wrong_password":
            raise PasswordRefused
        case "time":
            fate = "goes on: this server's user may not end it" if outcome.is_left else "was ended"
            detail = f"It took longer than {seconds:g} seconds and {fate}."
            raise ToolError(detail, kind=ToolErrorKind.TRANSIENT, code="tool_timeout", took_effect=took_effect)
        case "lost" | "cancelled":
            raise ToolError("What became of the process is unknown.", took_effect=took_effect)
