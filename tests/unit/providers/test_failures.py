"""Every exception of the SDKs and of the transport becomes a provider error, and none brings its text along."""

import inspect
import ssl
from collections.abc import Iterator
from types import ModuleType

import anthropic
import httpx2
import openai
import pytest

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
from retinue.providers.failures import from_error_object, from_exception, from_status

SECRET = "sk-upstream-secret"
REQUEST = httpx2.Request("POST", "https://api.example.com/v1")


def exceptions(*modules: ModuleType) -> Iterator[type[Exception]]:
    """All exception classes that a package has, whether it exports them or not."""
    seen: set[type[Exception]] = set()
    for module in modules:
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Exception) and value.__module__.startswith(module.__name__.split(".")[0]):
                queue = [value]
                while queue:
                    kind = queue.pop()
                    if kind not in seen:
                        seen.add(kind)
                        queue += kind.__subclasses__()
    yield from sorted(seen, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


def build(kind: type[Exception], status: int = 500) -> Exception:
    """An instance without its constructor, which differs for each, but with all that is read of it."""
    error = kind.__new__(kind, SECRET)
    error.args = (SECRET,)
    error.__dict__.update(
        message=SECRET, body={"error": {"message": SECRET}}, response=httpx2.Response(status, request=REQUEST)
    )
    return error


MODULES = (openai, openai._exceptions, anthropic, anthropic._exceptions, httpx2, ssl)


def test_no_exception_escapes() -> None:
    for kind in exceptions(*MODULES):
        mapped = from_exception(build(kind))
        assert isinstance(mapped, ProviderError), kind
        assert SECRET not in f"{mapped} {mapped.detail}", kind


def test_the_walk_finds_what_it_should() -> None:
    found = set(exceptions(*MODULES))
    assert {openai.APITimeoutError, anthropic.APIStatusError, httpx2.ReadError} <= found
    assert len(found) > 60


def caused(error: Exception, *causes: Exception) -> Exception:
    link: BaseException = error
    for cause in causes:
        link.__cause__ = cause
        link = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (openai.APITimeoutError(REQUEST), ProviderTimeout),
        (anthropic.APITimeoutError(REQUEST), ProviderTimeout),
        (openai.APIConnectionError(request=REQUEST), ProviderReset),
        (caused(anthropic.APIConnectionError(request=REQUEST), httpx2.ReadTimeout("")), ProviderTimeout),
        (caused(anthropic.APIConnectionError(request=REQUEST), httpx2.ConnectError("")), ProviderReset),
        (
            caused(openai.APIConnectionError(request=REQUEST), httpx2.ConnectError(""), ssl.SSLCertVerificationError()),
            ProviderProtocol,
        ),
        (caused(openai.APIConnectionError(request=REQUEST), ssl.SSLError()), ProviderReset),
        (caused(anthropic.APIConnectionError(request=REQUEST), EgressRefused("x")), ProviderRefused),
        (EgressRefused("x"), ProviderRefused),
        (httpx2.RemoteProtocolError("illegal status line"), ProviderProtocol),
        (httpx2.ReadError(""), ProviderReset),
        (httpx2.WriteError(""), ProviderReset),
        (httpx2.PoolTimeout(""), ProviderTimeout),
        (httpx2.DecodingError(""), ProviderProtocol),
        (httpx2.TooManyRedirects(""), ProviderProtocol),
        (httpx2.HTTPStatusError("", request=REQUEST, response=httpx2.Response(503)), ProviderOverloaded),
        (ConnectionResetError(), ProviderReset),
        (TimeoutError(), ProviderTimeout),
        (RuntimeError(SECRET), ProviderProtocol),
    ],
)
def test_exceptions(error: Exception, kind: type[ProviderError]) -> None:
    assert type(from_exception(error)) is kind


def test_a_refused_address_keeps_its_code() -> None:
    assert from_exception(EgressRefused("x")).problem_code == "egress_refused"


def test_what_the_caller_was_handling_does_not_count() -> None:
    error = openai.APIConnectionError(request=REQUEST)
    error.__context__ = ProviderAuth()
    assert type(from_exception(error)) is ProviderReset


def test_causes_in_a_circle_end() -> None:
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert type(from_exception(first)) is ProviderProtocol


def test_the_anthropic_sdk_reports_errors_of_a_stream_with_status_200() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": SECRET}}
    error = anthropic.APIStatusError(SECRET, response=httpx2.Response(200, request=REQUEST), body=body)
    assert type(from_exception(error)) is ProviderRateLimited


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (429, {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}, ProviderRefused, False),
        (429, {"type": "insufficient_quota", "code": None}, ProviderRefused, False),
        (429, {"error": {"code": "rate_limit_exceeded"}}, ProviderRateLimited, True),
        (429, "Too many requests", ProviderRateLimited, True),
        (400, {"error": {"code": "context_length_exceeded"}}, ProviderRefused, False),
        (400, {"error": {"type": "invalid_request_error"}}, ProviderRefused, False),
        (401, {"error": {"code": "invalid_api_key"}}, ProviderAuth, False),
        (500, {"error": {"code": "insufficient_quota"}}, ProviderOverloaded, True),
        (503, None, ProviderOverloaded, True),
        (307, None, ProviderProtocol, False),
        (418, {"error": {"type": "api_error"}}, ProviderRefused, False),
        (599, None, ProviderOverloaded, True),
        (102, None, ProviderProtocol, False),
        (429, {"error": {"error": {"error": {"error": {"code": "x"}}}}}, ProviderRateLimited, True),
    ],
)
def test_statuses(status: int, body: object, kind: type[ProviderError], retryable: bool) -> None:
    error = from_status(status, body)
    assert type(error) is kind
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": SECRET}, ProviderOverloaded),
        ({"error": {"type": "authentication_error"}}, ProviderAuth),
        ({"code": 429, "message": SECRET}, ProviderRateLimited),
        ({"code": "401"}, ProviderAuth),
        ({"object": "error", "message": SECRET, "type": "BadRequestError", "code": 400}, ProviderRefused),
        ({"code": None, "type": "server_error"}, ProviderOverloaded),
        ("rate_limit_exceeded", ProviderRateLimited),
        (SECRET, ProviderOverloaded),
        ({}, ProviderOverloaded),
        (None, ProviderOverloaded),
        ([SECRET], ProviderOverloaded),
        ({"code": True, "type": 7.5}, ProviderOverloaded),
        ({"code": 200}, ProviderOverloaded),
    ],
)
def test_error_objects(error: object, kind: type[ProviderError]) -> None:
    mapped = from_error_object(error)
    assert type(mapped) is kind
    assert SECRET not in mapped.detail
