"""Every error that Retinue tells anybody about.

RetinueError
├── RequestError
│   ├── BadRequest                400 bad_request
│   ├── InvalidRequest            422 validation_failed
│   │   └── EgressRefused         422 egress_refused
│   ├── MalformedBody             400 malformed_body
│   ├── Unauthenticated           401 unauthenticated
│   ├── Forbidden                 403 forbidden
│   │   ├── ForeignHost           403 foreign_host
│   │   └── ForeignOrigin         403 foreign_origin
│   ├── NotFound                  404 not_found
│   ├── MethodNotAllowed          405 method_not_allowed
│   ├── RequestTimeout            408 request_timeout
│   ├── Conflict                  409 conflict
│   ├── BodyTooLarge              413 body_too_large
│   ├── UnsupportedMediaType      415 unsupported_media_type
│   ├── RateLimited               429 rate_limited
│   └── Unavailable               503 unavailable
├── ProviderError
│   ├── ProviderTimeout           504 provider_timeout
│   ├── ProviderReset             502 provider_reset
│   ├── ProviderTruncated         502 provider_truncated
│   ├── ProviderProtocol          502 provider_protocol
│   ├── ProviderOverloaded        503 provider_overloaded
│   ├── ProviderRateLimited       429 provider_rate_limited
│   ├── ProviderAuth              502 provider_auth
│   └── ProviderRefused           502 provider_refused
├── RunError
│   ├── ProcessLost               500 process_lost
│   ├── RunTimeout                504 run_timeout
│   ├── StepLimitReached          500 step_limit_reached
│   ├── AnswerTooLong             500 answer_too_long
│   ├── StorageFailed             500 storage_failed
│   ├── StreamBroken              500 stream_broken
│   │   └── StreamMoved           503 stream_moved
│   ├── SecretUnreadable          500 secret_unreadable
│   │   └── UnknownMasterKey      500 unknown_master_key
│   └── InternalError             500 internal_error
├── ToolError                     tool_failed, told to the model
│   └── PasswordRefused           wrong_password
└── FailedAnswer                  as the run failed

`detail` is written for the person who reads the answer. It never carries upstream text, a stack trace, a secret or an
internal address.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from retinue.domain.tools import ToolErrorKind


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


class RequestError(RetinueError):
    """The request cannot be served as it is."""


class BadRequest(RequestError):
    code, title, status = "bad_request", "The request cannot be read", 400


class InvalidRequest(RequestError):
    code, title, status = "validation_failed", "The request is not valid", 422


class EgressRefused(InvalidRequest):
    """A URL that a tenant, a document or a model chose leads where Retinue must not connect."""

    code, title = "egress_refused", "This address is not allowed"


class MalformedBody(RequestError):
    code, title, status = "malformed_body", "The body cannot be read", 400


class Unauthenticated(RequestError):
    code, title, status = "unauthenticated", "Credentials are missing or wrong", 401


class Forbidden(RequestError):
    code, title, status = "forbidden", "These credentials do not allow that", 403


class ForeignHost(Forbidden):
    """In open mode: the request is addressed to a name that a stranger may have made lead here."""

    code, title = "foreign_host", "Open mode serves loopback addresses only"


class ForeignOrigin(Forbidden):
    """In open mode: a browser sends the request for a page of somebody else."""

    code, title = "foreign_origin", "Open mode serves no pages from elsewhere"


class NotFound(RequestError):
    code, title, status = "not_found", "There is no such thing here", 404


class MethodNotAllowed(RequestError):
    code, title, status = "method_not_allowed", "This method is not offered here", 405


class RequestTimeout(RequestError):
    code, title, status, retryable = "request_timeout", "The body did not arrive in time", 408, True


class Conflict(RequestError):
    code, title, status = "conflict", "The request conflicts with the present state", 409


class BodyTooLarge(RequestError):
    code, title, status = "body_too_large", "The body is too large", 413


class UnsupportedMediaType(RequestError):
    code, title, status = "unsupported_media_type", "This media type is not understood", 415


class RateLimited(RequestError):
    code, title, status, retryable = "rate_limited", "Too many requests", 429, True


class Unavailable(RequestError):
    code, title, status, retryable = "unavailable", "Retinue cannot take this now", 503, True


class ProviderError(RetinueError):
    """The tenant's model provider did not deliver. `retry_after` is in seconds, as far as the provider said."""

    code, title, status = "provider_protocol", "The model provider failed", 502

    def __init__(self, detail: str = "", *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class ProviderTimeout(ProviderError):
    code, title, status, retryable = "provider_timeout", "The model provider did not answer in time", 504, True


class ProviderReset(ProviderError):
    code, title, status, retryable = "provider_reset", "The connection to the model provider broke", 502, True


class ProviderTruncated(ProviderError):
    code, title, status, retryable = "provider_truncated", "The model provider's stream ended early", 502, True


class ProviderProtocol(ProviderError):
    code, title, status = "provider_protocol", "The model provider answered something unreadable", 502


class ProviderOverloaded(ProviderError):
    code, title, status, retryable = "provider_overloaded", "The model provider is overloaded", 503, True


class ProviderRateLimited(ProviderError):
    code, title, status, retryable = "provider_rate_limited", "The model provider limits the rate", 429, True


class ProviderAuth(ProviderError):
    code, title, status = "provider_auth", "The model provider refused the key", 502


class ProviderRefused(ProviderError):
    """The provider understood the request and will not serve it (unknown model, too long, no credit, policy)."""

    code, title, status = "provider_refused", "The model provider refused the request", 502


class RunError(RetinueError):
    """A run ended for a reason of our own."""


class ProcessLost(RunError):
    code, title, retryable = "process_lost", "The process that ran this answer is gone", True


class RunTimeout(RunError):
    code, title, status, retryable = "run_timeout", "The answer took longer than allowed", 504, True


class StepLimitReached(RunError):
    code, title = "step_limit_reached", "The employee needed more steps than allowed"


class AnswerTooLong(RunError):
    code, title = "answer_too_long", "The answer grew beyond the limit"


class StorageFailed(RunError):
    code, title, retryable = "storage_failed", "The answer could not be stored", True


class StreamBroken(RunError):
    """Raised to a follower when the run's end could not be stored: its stream must break off, not end."""

    code, title, retryable = "stream_broken", "The stream broke off", True


class StreamMoved(StreamBroken):
    """Raised to a follower when this process stops and the run goes on, or will go on, in another one."""

    code, title, status = "stream_moved", "The stream goes on in another process", 503


class SecretUnreadable(RunError):
    """A sealed secret was altered, moved, or is of another format. Says nothing of the secret."""

    code, title = "secret_unreadable", "A stored secret cannot be read"


class UnknownMasterKey(SecretUnreadable):
    """The secret was sealed under a master key that this server was not given."""

    code, title = "unknown_master_key", "A stored secret needs a master key that this server does not have"


class InternalError(RunError):
    code, title = "internal_error", "Something went wrong inside Retinue"


class ToolError(RetinueError):
    """A tool could not do what it was asked. `detail` is told to the model, and kept in the tool log.

    `code` names the fault. `took_effect` says whether the call may have changed something before it failed: False if
    it surely has not, None if nobody can know.
    """

    code, title, status = "tool_failed", "The tool failed", 502

    def __init__(
        self,
        detail: str = "",
        *,
        kind: ToolErrorKind = ToolErrorKind.UNKNOWN,
        code: str | None = None,
        took_effect: Literal[False] | None = None,
    ) -> None:
        super().__init__(detail, code=code)
        self.kind = kind
        self.took_effect = took_effect


class PasswordRefused(ToolError):
    """The password was wrong; nothing else has happened."""

    code, title = "wrong_password", "The password is wrong"

    def __init__(self) -> None:
        super().__init__(kind=ToolErrorKind.AUTH, took_effect=False)


class FailedAnswer(RetinueError):
    """A run that failed, told again to whoever waited for its answer: same code, title, status and detail."""

    def __init__(self, *, code: str, title: str, status: int, detail: str, retryable: bool) -> None:
        super().__init__(detail, code=code)
        self.title = title
        self.status = status
        self.retryable = retryable
