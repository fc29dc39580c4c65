"""Chunks of compatible servers, as they were seen (protocols: quirks)."""

from typing import Any

import msgspec
import pytest

from retinue.domain.errors import (
    ProviderAuth,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRefused,
)
from retinue.domain.model_io import (
    FinishReason,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UsageReported,
)
from retinue.domain.usage import Usage
from retinue.providers.openai.decoder import ChatDecoder

SIGNATURE = {"google": {"thought_signature": "c2ln"}}


def read(*chunks: Any, decoder: ChatDecoder | None = None) -> list[ProviderEvent]:
    """The events of chunks, given as JSON values or as bytes."""
    decoder = decoder or ChatDecoder()
    events: list[ProviderEvent] = []
    for chunk in chunks:
        events += decoder.take((b"", chunk if isinstance(chunk, bytes) else msgspec.json.encode(chunk)))
    return events + list(decoder.end())


def delta(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(**fields: Any) -> dict[str, Any]:
    """A chunk with one fragment; `name` and `arguments` go into its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return delta(tool_calls=[fields | {"function": function}])


def calls_of(events: list[ProviderEvent]) -> list[tuple[str, str]]:
    """Name and arguments of the calls."""
    started = [event for event in events if isinstance(event, ToolCallStarted)]
    assert len({event.id for event in started}) == len(started)
    return [
        (
            one.name,
            "".join(event.fragment for event in events if isinstance(event, ToolCallPiece) and event.id == one.id),
        )
        for one in started
    ]


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


# Tool calls


def test_fragments_of_several_calls_interleave() -> None:
    events = read(
        call(index=0, id="a", name="f", arguments=""),
        call(index=1, id="b", name="g", arguments='{"y"'),
        call(index=0, arguments='{"x"'),
        call(index=1, arguments=":2}"),
        call(index=0, id="a", name="f", arguments=":1}"),
        call(index=0, id="", name=None, arguments=None),
    )
    assert calls_of(events) == [("f", '{"x":1}'), ("g", '{"y":2}')]
    assert [event.id for event in events if isinstance(event, ToolCallEnded)] == ["a", "b"]


def test_ollama_gives_every_call_the_index_0() -> None:
    events = read(
        call(index=0, id="a", name="f", arguments='{"x":1}'),
        call(index=0, id="b", name="f", arguments='{"x":2}'),
        call(index=0, name="g", arguments="{}"),
        call(index=0, name="g", arguments='{"z":1}'),
    )
    assert calls_of(events) == [("f", '{"x":1}'), ("f", '{"x":2}'), ("g", "{}"), ("g", '{"z":1}')]


def test_gemini_leaves_out_the_index_and_the_id() -> None:
    decoder = ChatDecoder()
    events = read(
        call(id="", name="f", arguments='{"x":1}', extra_content=SIGNATURE),
        call(id="", name="f", arguments='{"x":2}'),
        delta(finish="stop"),
        decoder=decoder,
    )
    assert calls_of(events) == [("f", '{"x":1}'), ("f", '{"x":2}')]
    assert decoder.finish is FinishReason.TOOL_CALLS
    ended = [event for event in events if isinstance(event, ToolCallEnded)]
    assert ended[0].extra == {"extra_content": SIGNATURE}
    assert ended[1].extra == {}
    assert all(event.id.startswith("call_") for event in ended)


def test_without_an_index_the_id_or_the_last_call_decides() -> None:
    events = read(
        call(id="a", name="f", arguments='{"x"'),
        call(id="b", name="g", arguments='{"y"'),
        call(arguments=":2}"),
        call(id="a", arguments=":1}"),
    )
    assert calls_of(events) == [("f", '{"x":1}'), ("g", '{"y":2}')]


def test_arguments_as_an_object() -> None:
    assert calls_of(read(call(index=0, id="a", name="f", arguments={"x": "☃"}))) == [("f", '{"x":"☃"}')]


def test_a_name_that_comes_late_or_never() -> None:
    events = read(call(index=0, id="a", arguments='{"x"'), call(index=0, name="f", arguments=":1}"))
    assert calls_of(events) == [("f", '{"x":1}')]
    assert calls_of(read(call(index=0, arguments="{}"))) == [("", "{}")]


def test_fragments_without_a_function() -> None:
    events = read(delta(tool_calls=[{"index": 0, "id": "a", "function": None}]), call(index=0, name="f"))
    assert calls_of(events) == [("f", "")]


def test_ids_that_an_earlier_turn_used_are_replaced() -> None:
    events = read(
        call(index=0, id="call_0", name="f"),
        call(index=0, id="call_0", arguments="{}"),
        decoder=ChatDecoder(["call_0"]),
    )
    assert calls_of(events) == [("f", "{}")]
    started = [event.id for event in events if isinstance(event, ToolCallStarted)]
    assert started != ["call_0"]


def test_a_character_cut_between_two_fragments_of_arguments() -> None:
    first = (
        rb'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"\"\ud83d"}}]}}]}'
    )
    second = rb'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\ude80\""}}]}}]}'
    assert calls_of(read(first, second)) == [("f", '"🚀"')]


def test_names_ids_and_objects_are_cleaned() -> None:
    fragment = rb'"index":0,"id":"\ud800i\u0000","function":{"name":"f\udfff","arguments":{"\ud800":["\ud800"]}}'
    events = read(rb'{"choices":[{"delta":{"tool_calls":[{%s}]}}]}' % fragment)
    assert events[0] == ToolCallStarted(id="\ufffdi\ufffd", name="f\ufffd")
    assert calls_of(events) == [("f\ufffd", '{"\ufffd":["\ufffd"]}')]


def test_a_signature_that_could_not_be_sent_back_is_dropped() -> None:
    fragment = rb'"index":0,"id":"a","function":{"name":"f"},"extra_content":{"google":["\ud800"]}'
    assert read(rb'{"choices":[{"delta":{"tool_calls":[{%s}]}}]}' % fragment)[-1] == ToolCallEnded(id="a")


@pytest.mark.parametrize("number", [-1, 2**40 + 1, 2**63, 10**30, True, 1.5, "7"])
def test_what_cannot_be_a_count_is_unknown(number: Any) -> None:
    events = read({"choices": [], "usage": {"prompt_tokens": number, "completion_tokens": 2**40}})
    assert events == [UsageReported(Usage(output_tokens=2**40))]
