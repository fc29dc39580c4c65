"""Every failure as a problem document (RFC 9457)."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from retinue.domain.errors import (
    BadRequest,
    BodyTooLarge,
    FieldError,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ProviderError,
    RetinueError,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

MEDIA_TYPE = "application/problem+json"
URN = "urn:retinue:problem:"

_log = structlog.get_logger("retinue.http")
_MISSING_PARAMETER = re.compile(r"Missing required (\w+) parameter '([^']+)'")
_BY_STATUS: Mapping[int, type[RetinueError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    503: Unavailable,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, for people (`title`, `detail`) and for programs (`code`, `errors`)."""

    type: str
    """`urn:retinue:problem:<code>`."""
    title: str
    """The kind of problem; the same text for every occurrence."""
    status: int
    """The HTTP status, repeated."""
    detail: str
    """This occurrence, for the person who reads the answer."""
    instance: str
    """The path that was asked for."""
    code: str
    """The stable word for the kind of problem. Branch on this."""
    retryable: bool
    """True if the same request may succeed later."""
    errors: tuple[FieldError, ...] = ()
    """Everything that is wrong with the request, by place; absent where no place can be named."""


def problem_of(error: RetinueError, path: str) -> Problem:
    code = error.problem_code
    return Problem(
        type=URN + code,
        title=error.title,
        status=error.status,
        # A missing, a foreign and a malformed id must not differ by a word.
        detail=error.title if code == NotFound.code else error.detail,
        instance=quote(path, safe="/:@!$&'()*+,;=-._~", errors="replace"),
        code=code,
        retryable=error.retryable,
        errors=error.errors,
    )


def headers_of(error: RetinueError) -> dict[str, str]:
    """The headers that belong to the problem, `Retry-After` in whole seconds among them."""
    if isinstance(error, ProviderError) and error.retry_after is not None:
        return {**error.headers, "retry-after": str(max(1, round(error.retry_after)))}
    return error.headers


def encode_problem(error: RetinueError, path: str) -> bytes:
    return msgspec.json.encode(problem_of(error, path))


def exception_handlers() -> ExceptionHandlersMap:
    """What Litestar needs so that every exception becomes a problem."""
    return {Exception: answer_exception}


def answer_exception(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    error = to_retinue_error(exc)
    return Response(
        encode_problem(error, request.scope["path"]),
        status_code=error.status,
        headers=headers_of(error),
        media_type=MEDIA_TYPE,
    )


def to_retinue_error(exc: Exception) -> RetinueError:
    """The typed error for any exception. What nobody foresaw is logged in full and shown as `internal_error`."""
    if isinstance(exc, RetinueError):
        return exc
    if isinstance(exc, ValidationException):
        return _invalid(exc)
    if isinstance(exc, HTTPException) and (kind := _BY_STATUS.get(exc.status_code)):
        return kind(headers=_allow(exc))
    _log.error("request failed", exc_info=exc)
    return InternalError()


def _allow(exc: HTTPException) -> dict[str, str]:
    return {name: value for name, value in (exc.headers or {}).items() if name.lower() == "allow"}


def _invalid(exc: ValidationException) -> InvalidRequest:
    """A query, path or header parameter that Litestar refused; bodies never come this way."""
    if missing := _MISSING_PARAMETER.search(exc.detail):
        name = missing.group(2)
        return InvalidRequest(
            f"The {missing.group(1)} parameter {name} is missing.",
            errors=(FieldError(parameter=name, detail="Required."),),
        )
    extra = exc.extra if isinstance(exc.extra, list) else []
    errors = tuple(FieldError(parameter=str(e.get("key", "")), detail=str(e["message"])) for e in extra)
    names = ", ".join(error.parameter for error in errors)
    return InvalidRequest(f"Not valid: {names}." if names else "", errors=errors)
