"""Scenarios that a model name chooses, for use by hand and from other processes."""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tests.support.upstream.scenario import (
    Comment,
    Cut,
    Error,
    Raw,
    Reasoning,
    Refusal,
    Scenario,
    Signature,
    Stall,
    Tool,
    calls,
    refusal,
    says,
    tokens,
)
from tests.support.upstream.steps import Ask

PREFIX = "You said:"
"""What every echo begins with."""
SCENARIO_MARK = "scenario:"
SERIES_MARK = "scenarios:"
"""Before a JSON array: the model's answers to one message, one for each step."""


class Named(NamedTuple):
    example: str
    meaning: str
    pattern: str
    build: Callable[..., Scenario]


def words(text: str) -> tuple[str, ...]:
    """Words with the blanks before them; joined they are the text again."""
    return tuple(re.findall(r"\s*\S+|\s+$", text))


def echo(ask: Ask) -> Scenario:
    """The prefix, then the last user message word by word."""
    return says(PREFIX, *words(f" {ask.last_user}"))


def _tokens(_: Ask, count: str, delay: str | None) -> Scenario:
    return tokens(int(count), between=int(delay or 0) / 1000)


def _thinks(ask: Ask) -> Scenario:
    thoughts = (Reasoning("Let me "), Reasoning("think."), Signature("c2lnbmVk"))
    return Scenario(pieces=(*thoughts, *echo(ask).pieces))


def _tool_calls(_: Ask) -> Scenario:
    first = (Tool("", id="call_1", name="get_weather"), Tool('{"city": '), Tool('"Paris"}'))
    second = (Tool('{"city": ', id="call_2", name="get_weather", index=1), Tool('"Oslo"}', index=1))
    return Scenario(pieces=first + second, finish="tool_calls")


# fmt: off
NAMED = (
    Named("echo", "the last user message, word by word (also every unknown name)", r"echo", echo),
    Named("tokens-200-20ms", "so many words, so many milliseconds apart", r"tokens-(\d+)(?:-(\d+)ms)?", _tokens),
    Named("slow-first-3000ms", "so long before the first token", r"slow-first-(\d+)ms",
          lambda ask, ms: echo(ask).with_(before_first=int(ms) / 1000)),
    Named("slow-headers-3000ms", "so long before the headers", r"slow-headers-(\d+)ms",
          lambda ask, ms: echo(ask).with_(before_headers=int(ms) / 1000)),
    Named("cut-after-5", "reset after so many words", r"cut-after-(\d+)", lambda _, n: tokens(int(n) + 20).cut(int(n))),
    Named("cut-mid-chunk-5", "reset inside the next chunk", r"cut-mid-chunk-(\d+)",
          lambda _, n: tokens(int(n) + 20).cut(int(n), mid_frame=True)),
    Named("fin-after-5", "closed without the terminating chunk", r"fin-after-(\d+)",
          lambda _, n: tokens(int(n) + 20).cut(int(n), "fin")),
    Named("end-after-5", "a clean end without a finish reason", r"end-after-(\d+)",
          lambda _, n: tokens(int(n) + 20).cut(int(n), "clean")),
    Named("stall", "headers, then silence", r"stall", lambda _: Scenario(pieces=(Stall(),))),
    Named("stall-after-5", "silence after so many words", r"stall-after-(\d+)",
          lambda _, n: tokens(int(n) + 20).stall(int(n))),
    Named("no-headers", "silence before the headers", r"no-headers", lambda _: Scenario(before_headers=86_400)),
    Named("status-500", "an HTTP error in the dialect's own form", r"status-(\d{3})",
          lambda _, code: refusal(int(code))),
    Named("rate-limit-2", "429 with Retry-After", r"rate-limit-(\d+)",
          lambda _, seconds: refusal(429, retry_after=seconds)),
    Named("no-quota", "429 that must not be retried", r"no-quota",
          lambda _: refusal(429, error_type="insufficient_quota", error_code="insufficient_quota")),
    Named("refuse-key", "401", r"refuse-key", lambda _: refusal(401)),
    Named("too-long", "400 context_length_exceeded", r"too-long",
          lambda _: refusal(400, error_code="context_length_exceeded")),
    Named("html-502", "an HTML error page", r"html-(\d{3})",
          lambda _, code: refusal(int(code), body="<html>upstream secret detail</html>", content_type="text/html")),
    Named("html-200", "HTML where a stream was expected", r"html", lambda _: html_page()),
    Named("redirect", "302 to another address", r"redirect", lambda _: redirect()),
    Named("empty", "200 and nothing", r"empty", lambda _: Scenario(body="", content_type="text/event-stream")),
    Named("garbage", "bytes that are no JSON after two words", r"garbage", lambda _: garbage()),
    Named("error-after-3", "an error event after so many words", r"error-after-(\d+)",
          lambda _, n: Scenario(pieces=(*tokens(int(n)).pieces, Error()))),
    Named("drip", "one byte at a time", r"drip", lambda ask: echo(ask).with_(split=1)),
    Named("crlf", "CRLF line ends", r"crlf", lambda ask: echo(ask).with_(newline="\r\n")),
    Named("comments", "keep-alive comments between the words", r"comments", lambda ask: commented(echo(ask))),
    Named("no-done", "no [DONE], no message_stop", r"no-done", lambda ask: echo(ask).with_(done=False)),
    Named("no-finish", "no finish reason", r"no-finish", lambda ask: echo(ask).with_(finish=None)),
    Named("no-usage", "no usage", r"no-usage", lambda ask: echo(ask).with_(usage=None)),
    Named("length", "stopped by the token limit", r"length", lambda ask: echo(ask).with_(finish="length")),
    Named("content-filter", "stopped by a filter", r"content-filter",
          lambda ask: echo(ask).with_(finish="content_filter")),
    Named("refuses", "a refusal in words", r"refuses",
          lambda _: Scenario(pieces=(Refusal("I cannot"), Refusal(" do that.")))),
    Named("reasoning", "thinks, then echoes", r"reasoning", _thinks),
    Named("tool-call", "one call in fragments", r"tool-call",
          lambda _: calls("get_weather", "", '{"ci', 'ty": "Pa', 'ris"}')),
    Named("tool-calls", "two calls", r"tool-calls", _tool_calls),
    Named("azure", "Azure's preamble before the echo", r"azure", lambda ask: echo(ask).with_(azure_preamble=True)),
)
# fmt: on


def html_page() -> Scenario:
    return Scenario(body="<html>upstream secret detail</html>", content_type="text/html")


def redirect(location: str = "/v1/elsewhere") -> Scenario:
    return Scenario(status=302, headers={"Location": location}, body="")


def garbage() -> Scenario:
    broken = (Raw('data: {"choices": [{\n\n'), Raw(data=b"data: \xff\xfe\x00\n\n"), Cut("clean"))
    return Scenario(pieces=(*tokens(2).pieces, *broken))


def commented(scenario: Scenario) -> Scenario:
    pieces = tuple(one for piece in scenario.pieces for one in (Comment("OPENROUTER PROCESSING"), piece))
    return scenario.with_(pieces=pieces)


def choose(ask: Ask) -> Scenario:
    """The scenario for a request that found the queue empty.

    Raises:
        msgspec.ValidationError: the user message says `scenario:` but carries no valid one.
        IndexError: the model is asked once more after all `scenarios:` were played.
    """
    if ask.last_user.startswith(SERIES_MARK):
        return msgspec.json.decode(ask.last_user[len(SERIES_MARK) :], type=list[Scenario])[ask.answers]
    if ask.last_user.startswith(SCENARIO_MARK):
        return msgspec.json.decode(ask.last_user[len(SCENARIO_MARK) :], type=Scenario)
    for named in NAMED:
        found = re.fullmatch(named.pattern, ask.model)
        if found:
            return named.build(ask, *found.groups())
    return echo(ask)


def names() -> list[str]:
    return [named.example for named in NAMED]
