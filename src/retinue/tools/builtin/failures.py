"""What goes wrong outside, in the one taxonomy."""

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_AUTH = frozenset({401, 403})


def kind_of_status(status: int) -> ToolErrorKind:
    """What an HTTP status that is not a success means for whoever asked."""
    if status in _TRANSIENT:
        return ToolErrorKind.TRANSIENT
    if status in _AUTH:
        return ToolErrorKind.AUTH
    return ToolErrorKind.VALIDATION if 400 <= status < 500 else ToolErrorKind.UNKNOWN


def invalid(detail: str, *, code: str) -> ToolError:
    """Something that the model can mend; nothing has happened."""
    return ToolError(detail, kind=ToolErrorKind.VALIDATION, code=code, took_effect=False)
