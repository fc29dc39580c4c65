"""What went wrong, in our words: HTTP statuses, vendors' error objects, exceptions of SDKs and transports.

Nothing that an upstream wrote gets into `detail`. What it wrote is only ever compared with known words.
"""

import ssl
from collections.abc import Mapping
from typing import Any

import anthropic
import httpx2
import openai

from retinue.domain.errors import (
    EgressRefused,
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRefused,
    ProviderReset,
    ProviderTimeout,
)
from retinue.providers.retry_after import retry_after_of

_NO_CREDIT = "The account at the model provider has no credit or quota left."
_TOO_LONG = "The conversation is too long for this model."
_WORDS: dict[str, tuple[type[ProviderError], str]] = {
    # OpenAI and the servers that copy it
    "insufficient_quota": (ProviderRefused, _NO_CREDIT),
    "billing_hard_limit_reached": (ProviderRefused, _NO_CREDIT),
    "billing_not_active": (ProviderRefused, _NO_CREDIT),
    "context_length_exceeded": (ProviderRefused, _TOO_LONG),
    "exceed_context_size_error": (ProviderRefused, _TOO_LONG),
    "content_filter": (ProviderRefused, "The model provider's content filter refused the request."),
    "content_policy_violation": (ProviderRefused, "The model provider's content filter refused the request."),
    "model_not_found": (ProviderRefused, "The model provider does not know this model."),
    "deploymentnotfound": (ProviderRefused, "The model provider does not know this deployment."),
    "invalid_api_key": (ProviderAuth, ""),
    "rate_limit_exceeded": (ProviderRateLimited, ""),
    "server_error": (ProviderOverloaded, "The model provider failed."),
    "internal_server_error": (ProviderOverloaded, "The model provider failed."),
    "internalservererror": (ProviderOverloaded, "The model provider failed."),
    "badrequesterror": (ProviderRefused, ""),
    "notfounderror": (ProviderRefused, ""),
    # Anthropic
    "invalid_request_error": (ProviderRefused, ""),
    "authentication_error": (ProviderAuth, ""),
    "billing_error": (ProviderRefused, _NO_CREDIT),
    "permission_error": (ProviderAuth, ""),
    "not_found_error": (ProviderRefused, "The model provider does not know this model."),
    "request_too_large": (ProviderRefused, "The request is too large for the model provider."),
    "rate_limit_error": (ProviderRateLimited, ""),
    "timeout_error": (ProviderTimeout, ""),
    "api_error": (ProviderOverloaded, "The model provider failed."),
    "overloaded_error": (ProviderOverloaded, ""),
}
_STATUSES: dict[int, tuple[type[ProviderError], str]] = {
    400: (ProviderRefused, "The model provider found the request invalid (HTTP 400)."),
    401: (ProviderAuth, ""),
    402: (ProviderRefused, _NO_CREDIT),
    403: (ProviderAuth, "The model provider does not allow this key to do that."),
    404: (ProviderRefused, "The model provider knows no such model or address (HTTP 404)."),
    408: (ProviderTimeout, ""),
    409: (ProviderOverloaded, "The model provider is busy with a conflicting request (HTTP 409)."),
    413: (ProviderRefused, "The request is too large for the model provider."),
    422: (ProviderRefused, "The model provider found the request invalid (HTTP 422)."),
    425: (ProviderOverloaded, ""),
    429: (ProviderRateLimited, ""),
    499: (ProviderReset, ""),
    501: (ProviderProtocol, "The model provider does not offer this (HTTP 501)."),
    504: (ProviderTimeout, ""),
    505: (ProviderProtocol, "The model provider does not offer this (HTTP 505)."),
    524: (ProviderTimeout, ""),
    529: (ProviderOverloaded, ""),
}
_SPECIFIC = frozenset(word for word, (kind, detail) in _WORDS.items() if kind is ProviderRefused and detail)
"""Words that say more than the status does, and decide against it (a 429 for lack of credit is not worth a retry)."""

_CLASSES: tuple[tuple[tuple[type[BaseException], ...], type[ProviderError], str], ...] = (
    (
        (ssl.SSLCertVerificationError,),
        ProviderProtocol,
        "The TLS certificate of the model provider could not be verified.",
    ),
    ((ssl.SSLError,), ProviderReset, "The encrypted connection to the model provider could not be set up."),
    ((httpx2.TimeoutException, TimeoutError), ProviderTimeout, ""),
    ((httpx2.NetworkError, ConnectionError), ProviderReset, ""),
    ((openai.APITimeoutError, anthropic.APITimeoutError), ProviderTimeout, ""),
    ((openai.APIConnectionError, anthropic.APIConnectionError), ProviderReset, ""),
)
"""Exceptions that need no look inside. The order matters: narrow classes stand before wide ones."""


def from_status(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> ProviderError:
    """The error behind an HTTP answer that is not a success. `body` is the decoded JSON, if it was any."""
    words = _words(body)
    pause = retry_after_of(headers) if headers is not None else None
    for word in words:
        if word in _SPECIFIC and 400 <= status < 500:
            kind, detail = _WORDS[word]
            return kind(detail, retry_after=pause)
    kind, detail = _STATUSES.get(status, (ProviderProtocol, ""))
    if status in _STATUSES:
        return kind(detail, retry_after=pause)
    if 300 <= status < 400:
        return ProviderProtocol("The model provider redirects elsewhere; redirects are not followed.")
    if 400 <= status < 500:
        return ProviderRefused(f"The model provider refused the request (HTTP {status}).")
    if 500 <= status < 600:
        return ProviderOverloaded(f"The model provider failed (HTTP {status}).", retry_after=pause)
    return ProviderProtocol("The model provider answered with an unexpected HTTP status.")


def from_error_object(error: object) -> ProviderError:
    """The error that a vendor reports inside an answer whose status was a success.

    Takes every form seen: an object with `type` and `code` (a word or a number), the same one level deeper, a string.
    """
    for word in _words(error):
        if word in _WORDS:
            kind, detail = _WORDS[word]
            return kind(detail)
        if word.isascii() and word.isdigit() and len(word) == 3 and int(word) >= 400:
            return from_status(int(word))
    return ProviderOverloaded("The model provider reported an error in its answer.")


def from_exception(error: Exception) -> ProviderError:
    """The error behind any exception of an SDK, of the transport, or of reading what they gave.

    Exceptions that nobody foresaw stay attached as the cause, for the log; the others may hold upstream text.
    """
    for link in _chain(error):
        known = _known(link)
        if known is not None:
            return known
    unforeseen = ProviderProtocol("The model provider's answer could not be processed.")
    unforeseen.__cause__ = error
    return unforeseen


def _chain(error: BaseException) -> list[BaseException]:
    """The exception's causes, innermost first: the SDKs hide what happened behind one class.

    Only stated causes count. The context of an exception may be something that the caller was handling.
    """
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links and len(links) < 16:
        links.append(link)
        link = link.__cause__
    return links[::-1]


def _known(error: BaseException) -> ProviderError | None:
    if isinstance(error, ProviderError):
        return error
    looked_into = _looked_into(error)
    if looked_into is not None:
        return looked_into
    for kinds, mapped, detail in _CLASSES:
        if isinstance(error, kinds):
            return mapped(detail)
    return None


def _looked_into(error: BaseException) -> ProviderError | None:
    match error:
        case EgressRefused():
            return ProviderRefused("The model provider's address is not allowed.", code=EgressRefused.code)
        case openai.APIStatusError() | anthropic.APIStatusError():
            return _from_response(error.response, error.body)
        case httpx2.HTTPStatusError():
            return _from_response(error.response, None)
        case httpx2.RemoteProtocolError():
            return ProviderProtocol("The model provider does not speak HTTP.")
        case _:
            return None


def _from_response(response: httpx2.Response, body: object) -> ProviderError:
    if response.is_success:  # the SDKs raise status errors with 200 for error objects inside an answer
        return from_error_object(body)
    return from_status(response.status_code, body, response.headers)


def _words(body: object, depth: int = 0) -> list[str]:
    """The machine-readable words of an error, most telling first, in lower case."""
    if isinstance(body, str | int) and not isinstance(body, bool):
        return [str(body)[:80].lower()]
    if not isinstance(body, Mapping) or depth > 2:
        return []
    found: list[str] = []
    fields: Mapping[Any, Any] = body
    for key in ("code", "type", "status"):
        found += _words(fields.get(key), 3) if not isinstance(fields.get(key), Mapping) else []
    inner = fields.get("error")
    return _words(inner, depth + 1) + found if inner is not None else found
