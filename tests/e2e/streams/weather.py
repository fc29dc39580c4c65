"""Bad weather: what a provider can do wrong, and what has to come of it."""

from typing import NamedTuple

from tests.e2e.streams.talk import Vendor
from tests.support.upstream import Chunk, Error, Scenario, refusal, says, tokens
from tests.support.upstream.catalogue import garbage, html_page, redirect

ANSWER = tokens(6)
SAID = tokens(3).text
"""What had arrived when it broke in the middle."""
SECRET = "upstream secret detail"
"""Every error of the fake upstream says this; no answer of Retinue may."""
TRIES = 2
"""Of the impatient server."""


class Weather(NamedTuple):
    """A scenario and the failure that it must lead to."""

    name: str
    scenario: Scenario
    code: str
    is_retryable: bool
    requests: int = 1
    """How often the provider is asked: again only for what is retryable, and only before its first delta."""
    text: str = ""
    """The part of the answer that is kept."""
    status: int = 502


def _before(name: str, scenario: Scenario, code: str, status: int = 502) -> Weather:
    """Worth another try, because nothing has come yet."""
    return Weather(name, scenario, code, is_retryable=True, requests=TRIES, status=status)


def _midway(name: str, scenario: Scenario, code: str, *, status: int = 502, is_retryable: bool = True) -> Weather:
    """The first delta has been shown: no other try, and what was shown stays."""
    return Weather(name, scenario, code, is_retryable, text=SAID, status=status)


def _error(form: str, **fields: str | int) -> Scenario:
    return Scenario(pieces=(*tokens(3).pieces, Error(form=form, message=SECRET, **fields)))  # type: ignore[arg-type]


_PADDED = Chunk({"type": "ping", "choices": [], "padding": SECRET * 230_000})
"""Means nothing, and would be skipped if it were not five megabytes long."""
_COMPLETION = '{"choices": [{"message": {"content": "upstream secret detail"}}]}'
_JSON = Scenario(body=_COMPLETION, content_type="application/json")
_QUOTA = {"error_type": "insufficient_quota", "error_code": "insufficient_quota"}

COMMON = (
    Weather("401", refusal(401), "provider_auth", is_retryable=False),
    Weather("403", refusal(403), "provider_auth", is_retryable=False),
    Weather("404", refusal(404), "provider_refused", is_retryable=False),
    _before("429", refusal(429), "provider_rate_limited", 429),
    Weather("429-too-long", refusal(429, retry_after="3600"), "provider_rate_limited", is_retryable=True, status=429),
    _before("500", refusal(500), "provider_overloaded", 503),
    _before("503", refusal(503), "provider_overloaded", 503),
    _before("529", refusal(529), "provider_overloaded", 503),
    _before("html-502", html_page().with_(status=502), "provider_overloaded", 503),
    Weather("html-200", html_page(), "provider_protocol", is_retryable=False),
    Weather("json-200", _JSON, "provider_protocol", is_retryable=False),
    Weather("redirect", redirect(), "provider_protocol", is_retryable=False),
    _before("empty-200", Scenario(body="", content_type="text/event-stream"), "provider_truncated"),
    _before("reset-before-first", ANSWER.cut(0), "provider_reset"),
    _before("fin-before-first", ANSWER.cut(0, "fin"), "provider_reset"),
    _before("end-before-first", ANSWER.cut(0, "clean").with_(finish=None), "provider_truncated"),
    _midway("reset", ANSWER.cut(3), "provider_reset"),
    _midway("fin", ANSWER.cut(3, "fin"), "provider_reset"),
    _midway("mid-frame", ANSWER.cut(3, "fin", mid_frame=True), "provider_reset"),
    _midway("end-without-finish", ANSWER.cut(3, "clean"), "provider_truncated"),
    _midway("no-finish-reason", tokens(3, finish=None), "provider_truncated"),
    _midway("no-finish-at-all", tokens(3, finish=None, done=False), "provider_truncated"),
    Weather("garbage", garbage(), "provider_protocol", is_retryable=False, text=tokens(2).text),
    _midway(
        "5-MB-line",
        Scenario(pieces=(*tokens(3).pieces, _PADDED)),
        "provider_protocol",
        is_retryable=False,
    ),
    _midway("error", _error("native"), "provider_overloaded", status=503),
    _midway("error-rate", _error("native", type="rate_limit_error"), "provider_rate_limited", status=429),
    _midway("error-unheard-of", _error("native", type="brand_new_error"), "provider_overloaded", status=503),
    _before("error-first", Scenario(pieces=(Error(message=SECRET),)), "provider_overloaded", 503),
    _before("stall-before-first", ANSWER.stall(0), "provider_timeout", 504),
    _midway("stall", ANSWER.stall(3), "provider_timeout", status=504),
)

OPENAI = (
    Weather("no-quota", refusal(429, **_QUOTA), "provider_refused", is_retryable=False),
    Weather("too-long", refusal(400, error_code="context_length_exceeded"), "provider_refused", is_retryable=False),
    _midway("error-openai", _error("openai", type="server_error"), "provider_overloaded", status=503),
    _midway("error-openrouter", _error("openrouter", code=502), "provider_overloaded", status=503),
    _midway("error-openrouter-429", _error("openrouter", code=429), "provider_rate_limited", status=429),
    _midway("error-vllm", _error("vllm", code=500, type="InternalServerError"), "provider_overloaded", status=503),
    _midway("error-anthropic", _error("anthropic"), "provider_overloaded", status=503),
)

TABLE: tuple[tuple[Vendor, Weather], ...] = (
    *(("openai", weather) for weather in COMMON + OPENAI),
    *(("anthropic", weather) for weather in COMMON),
)

FAIR = {
    "drip": says("Привет", " мир", split=1),
    "crlf": says("Привет", " мир", newline="\r\n"),
    "crlf-drip": says("Привет", " мир", newline="\r\n", split=1),
    "no-done": says("Привет", " мир", done=False),
    "no-usage": says("Привет", " мир", usage=None),
    "until-close": says("Привет", " мир", framing="close"),
}
"""Unusual, but whole answers."""
