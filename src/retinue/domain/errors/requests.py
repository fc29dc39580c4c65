"""Requests that cannot be served as they are."""

from retinue.domain.errors.base import RetinueError


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


class BudgetExceeded(RequestError):
    """A budget has nothing left for a model call."""

    code, title, status, retryable = "budget_exceeded", "The budget is used up", 402, True


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
    code, title, status, retryable = "request_timeout", "The request did not arrive in time", 408, True


class Conflict(RequestError):
    code, title, status = "conflict", "The request conflicts with the present state", 409


class BodyTooLarge(RequestError):
    code, title, status = "body_too_large", "The body is too large", 413


class TargetTooLong(RequestError):
    code, title, status = "target_too_long", "The path and query are too long", 414


class UnsupportedMediaType(RequestError):
    code, title, status = "unsupported_media_type", "This media type is not understood", 415


class RateLimited(RequestError):
    code, title, status, retryable = "rate_limited", "Too many requests", 429, True


class HeadersTooLarge(RequestError):
    code, title, status = "headers_too_large", "The headers are too many or too large", 431


class CodingNotSupported(RequestError):
    code, title, status = "coding_not_supported", "This transfer coding is not understood", 501


class Unavailable(RequestError):
    code, title, status, retryable = "unavailable", "Retinue cannot take this now", 503, True


class VersionNotSupported(RequestError):
    code, title, status = "version_not_supported", "This version of HTTP is not spoken here", 505
