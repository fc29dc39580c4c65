"""Chunks of compatible servers, as they were seen (protocols: quirks)."""

from typing import Any

import pytest

from retinue.domain.errors import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRefused,
)
from retinue.domain.model_io import FinishReason, ReasoningEnded, ReasoningPiece, TextPiece, UsageReported
from retinue.domain.usage import Usage
from retinue.providers.openai.decoder import ChatDecoder
from tests.unit.providers.chat import call, calls_of, delta, message, read


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [], "prompt_filter_results": [{}], "id": "", "model": "", "created": 0},
        {"choices": [{"index": 0, "content_filter_offsets": {}, "finish_reason": None}]},
        {"choices": [{"delta": None}]},
        {"choices": None},
        {},
        {"choices": [], "timings": {"x": 1}},
        {"choices": [], "prompt_progress": {}},
        delta(role="assistant", content=""),
        delta(content=None),
        delta(refusal=None, tool_calls=None),
        delta(content=7, reasoning={"a": 1}, refusal=[]),
        {"choices": [{"delta": {}}], "usage": None},
        {"choices": [], "usage": {"prompt_tokens": "many"}},
        {"choices": [], "usage": 3},
        {"choices": [{"delta": {"content": ""}, "finish_reason": ""}], "obfuscation": "xxxxx"},
        b"",
        b"  ",
    ],
)
def test_chunks_that_say_nothing(chunk: Any) -> None:
    decoder = ChatDecoder()
    assert read(chunk, decoder=decoder) == []
    assert decoder.finish is None


def test_text_and_reason_in_one_chunk() -> None:
    decoder = ChatDecoder()
    assert read(delta(content="x", finish="stop"), b"[DONE]", decoder=decoder) == [TextPiece("x")]
    assert decoder.is_over
    assert decoder.finish is FinishReason.STOP


def test_text_and_usage_in_one_chunk() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    came = read(delta(content="x") | {"usage": usage})
    assert came == [TextPiece("x"), UsageReported(Usage(input_tokens=3, output_tokens=1))]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_both_reasoning_fields(field: str) -> None:
    events = read(delta(**{field: "a"}), delta(**{field: "b", "content": ""}), delta(content="c"))
    assert events == [ReasoningPiece("a"), ReasoningPiece("b"), ReasoningEnded(), TextPiece("c")]


def test_reasoning_sent_in_both_fields_counts_once() -> None:
    assert read(delta(reasoning_content="a", reasoning="a"))[0] == ReasoningPiece("a")


def test_content_as_a_list_of_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    events = read(delta(content=[thinking]), delta(content=[{"type": "text", "text": "a"}, 7]))
    assert events == [ReasoningPiece("hm"), ReasoningEnded(), TextPiece("a")]


def test_unfit_characters() -> None:
    events = read(
        rb'{"choices":[{"delta":{"content":"a\u0000\ud83d"}}]}', rb'{"choices":[{"delta":{"content":"\ude80"}}]}'
    )
    assert events == [TextPiece("a\ufffd"), TextPiece("🚀")]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("tool_calls", FinishReason.STOP),
        ("function_call", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_finish_reasons(word: str, reason: FinishReason) -> None:
    decoder = ChatDecoder()
    read(delta(content="x", finish=word), decoder=decoder)
    assert decoder.finish is reason


def test_a_call_cut_by_the_limit_is_not_complete() -> None:
    decoder = ChatDecoder()
    read(call(index=0, id="a", name="f", arguments='{"x'), delta(finish="length"), decoder=decoder)
    assert decoder.finish is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("chunk", "kind"),
    [
        ({"error": {"message": "x", "type": "server_error"}}, ProviderOverloaded),
        ({"error": "x"}, ProviderOverloaded),
        ({"error": {"code": 429, "message": "x"}}, ProviderRateLimited),
        (delta(content="", finish="error") | {"error": {"code": 502}}, ProviderOverloaded),
        (delta(content="", finish="error"), ProviderOverloaded),
        (delta(content="x") | {"error": {"code": 502}}, ProviderOverloaded),
        ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, ProviderRefused),
        ({"message": "x", "code": 401}, ProviderAuth),
        ({"type": "error", "error": {"type": "overloaded_error"}}, ProviderOverloaded),
        ({"detail": "x"}, ProviderOverloaded),
        ({"choices": "x"}, ProviderProtocol),
        (b"{", ProviderProtocol),
        (b"overloaded", ProviderProtocol),
    ],
)
def test_errors_in_the_stream(chunk: Any, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        read(delta(content="a"), chunk)
    assert type(caught.value) is kind


def test_an_error_event_need_not_be_json() -> None:
    with pytest.raises(ProviderOverloaded):
        list(ChatDecoder().take((b"error", b"upstream died")))


def test_the_last_usage_wins() -> None:
    one = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    two = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}}
    events = read(one, one, two)
    assert events == [
        UsageReported(Usage(input_tokens=5, output_tokens=1)),
        UsageReported(Usage(input_tokens=5, output_tokens=2, cached_input_tokens=3)),
    ]


def test_a_message_instead_of_deltas() -> None:
    whole = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    events = read(message(content="Hel"), message(content="lo", tool_calls=[whole], finish="stop"))
    assert [event for event in events if isinstance(event, TextPiece)] == [TextPiece("Hel"), TextPiece("lo")]
    assert calls_of(events) == [("f", "{}")]


def test_a_message_that_repeats_what_the_deltas_said() -> None:
    """MiniMax ends a stream with the whole answer."""
    decoder = ChatDecoder()
    events = read(
        delta(role="assistant", content=""), delta(content="Hello"), message("stop", content="Hello"), decoder=decoder
    )
    assert events == [TextPiece("Hello")]
    assert decoder.finish is FinishReason.STOP


def test_a_message_after_deltas_that_said_nothing() -> None:
    silent = delta(role="assistant", content="", function_call={})
    assert read(silent, message(content="Hello")) == [TextPiece("Hello")]


@pytest.mark.parametrize("number", [-1, 2**31, 2**63, 10**30, True, 1.5, "7"])
def test_what_cannot_be_a_count_is_unknown(number: Any) -> None:
    events = read({"choices": [], "usage": {"prompt_tokens": number, "completion_tokens": 2**31 - 1}})
    assert events == [UsageReported(Usage(output_tokens=2**31 - 1))]


@pytest.mark.parametrize(("prompt", "whole"), [(100, 100), (40, 40), (39, 79), (0, 40)])
def test_an_input_that_was_counted_without_its_cached_part_is_added_up(prompt: int, whole: int) -> None:
    details = {"cached_tokens": 30, "cache_write_tokens": 10}
    usage = {"prompt_tokens": prompt, "prompt_tokens_details": details, "completion_tokens": 1}
    expected = Usage(input_tokens=whole, cached_input_tokens=30, cache_write_tokens=10, output_tokens=1)
    assert read({"choices": [], "usage": usage}) == [UsageReported(expected)]
