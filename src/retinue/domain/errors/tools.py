"""What goes wrong with a tool."""

from typing import Literal

from retinue.domain.errors.base import RetinueError
from retinue.domain.tools import ToolErrorKind


class ToolError(RetinueError):
    """A tool could not do what it was asked. `detail` is told to the model, and kept in the tool log.

    `code` names the fault. `took_effect` says whether the call may have changed something before it failed: False if
    it surely has not, None if nobody can know. `retry_after` is in seconds, where the other side asked for a pause.
    """

    code, title, status = "tool_failed", "The tool failed", 502

    def __init__(
        self,
        detail: str = "",
        *,
        kind: ToolErrorKind = ToolErrorKind.UNKNOWN,
        code: str | None = None,
        took_effect: Literal[False] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, code=code)
        self.kind = kind
        self.took_effect = took_effect
        self.retry_after = retry_after


class PasswordRefused(ToolError):
    """The password was wrong; nothing else has happened."""

    code, title = "wrong_password", "The password is wrong"

    def __init__(self) -> None:
        super().__init__(kind=ToolErrorKind.AUTH, took_effect=False)
