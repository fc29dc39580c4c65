"""What goes wrong outside, in the one taxonomy."""

import ssl

import httpx2

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


def of_transport(error: httpx2.HTTPError | TimeoutError) -> ToolError:
    """Why there is no answer that could be read, for a request that changes nothing."""
    match error:
        case TimeoutError() | httpx2.TimeoutException():
            return _failed("The server did not answer in time.", ToolErrorKind.TRANSIENT, "http_timeout")
        case httpx2.NetworkError() if _is_distrust(error):
            return _failed("The server's certificate is not trusted.", ToolErrorKind.UNKNOWN, "http_untrusted")
        case httpx2.ConnectError():
            return _failed("The server cannot be reached.", ToolErrorKind.TRANSIENT, "http_unreachable")
        case httpx2.NetworkError():
            return _failed("The server broke off before it had answered.", ToolErrorKind.TRANSIENT, "http_broken_off")
        case _:
            return _failed("The server's answer cannot be read.", ToolErrorKind.UNKNOWN, "http_unreadable")


def invalid(detail: str, *, code: str) -> ToolError:
    """Something that the model can mend; nothing has happened."""
    return ToolError(detail, kind=ToolErrorKind.VALIDATION, code=code, took_effect=False)


def _failed(detail: str, kind: ToolErrorKind, code: str) -> ToolError:
    return ToolError(detail, kind=kind, code=code, took_effect=False)


def _is_distrust(error: httpx2.NetworkError) -> bool:
    return isinstance(error.__cause__, ssl.SSLCertVerificationError)
