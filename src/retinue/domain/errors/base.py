"""The root of all errors."""

from collections.abc import Mapping

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with a request."""

    pointer: str = ""
    """JSON pointer (RFC 6901) into the body; empty for the whole body."""
    parameter: str = ""
    """Name of the query or path parameter or of the header, if that is where the fault lies."""
    detail: str


class RetinueError(Exception):
    """Root of the tree. `code`, `title`, `status` and `retryable` are stable and part of the API."""

    code: str = "internal_error"
    title: str = "Internal error"
    status: int = 500
    retryable: bool = False

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.headers = dict(headers or {})
        self._code = code

    @property
    def problem_code(self) -> str:
        """The stable machine-readable word: the one given for this case, else that of the class."""
        return self._code or self.code
