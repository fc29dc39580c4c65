"""Anthropic Messages: events."""

from typing import Any

import msgspec
import pytest

from retinue.domain.errors import ProviderAuth, ProviderError, ProviderOverloaded, ProviderProtocol, ProviderRefused
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
from retinue.providers.anthropic.decoder import MessagesDecoder


def read(*values: dict[str, Any], decoder: MessagesDecoder | None = None) -> list[ProviderEvent]:
    decoder = decoder or MessagesDecoder()
    events: list[ProviderEvent] = []
    for value in values:
        events += decoder.take((str(value.get("type", "")).encode(), msgspec.json.encode(value)))
    return events + list(decoder.end())


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def test_thinking_signed_omitted_and_redacted() -> None:
    assert read(
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="si"),
        delta(0, type="signature_delta", signature="g"),
        stop(0),
        start(1, type="redacted_thinking", data="opaque"),
        stop(1),
        start(2, type="thinking", thinking="", signature="omitted"),
        stop(2),
        start(3, type="text", text="a"),
        delta(3, type="text_delta", text="b"),
        delta(3, type="citations_delta", citation={}),
        stop(3),
    ) == [
        ReasoningPiece("hm"),
        ReasoningEnded(signature="sig"),
        ReasoningEnded(redacted="opaque"),
        ReasoningEnded(signature="omitted"),
        TextPiece("a"),
        TextPiece("b"),
    ]


def test_a_call_with_its_input_at_the_start() -> None:
    events = read(start(0, type="tool_use", id="a", name="f", input={"x": 1}), stop(0))
    assert events == [
        ToolCallStarted(id="a", name="f"),
        ToolCallPiece(id="a", fragment='{"x":1}'),
        ToolCallEnded(id="a"),
    ]


def test_blocks_without_a_start_or_a_stop() -> None:
    assert read(delta(0, type="text_delta", text="a"), delta(1, type="thinking_delta", thinking="b")) == [
        TextPiece("a"),
        ReasoningPiece("b"),
        ReasoningEnded(),
    ]
    assert read(delta(0, type="input_json_delta", partial_json="{}")) == []
    assert read(start(0, type="thinking", thinking="x"), start(0, type="text", text="y")) == [
        ReasoningPiece("x"),
        ReasoningEnded(),
        TextPiece("y"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"type": "ping"},
        {"type": "something_new", "payload": [1]},
        {},
        start(0, type="server_tool_use", id="x", name="web_search", input={}),
        delta(0, type="something_new", text="x"),
        {"type": "content_block_start", "index": 0},
        {"type": "message_start", "message": {"usage": None}},
        {"type": "message_delta", "delta": {"stop_reason": None}},
        start(0, type="text", text=None),
    ],
)
def test_events_that_say_nothing(value: dict[str, Any]) -> None:
    decoder = MessagesDecoder()
    assert read(value, decoder=decoder) == []
    assert decoder.finish is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("tool_use", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("refusal", FinishReason.REFUSAL),
    ],
)
def test_stop_reasons(word: str, reason: FinishReason) -> None:
    decoder = MessagesDecoder()
    read({"type": "message_delta", "delta": {"stop_reason": word}}, {"type": "message_stop"}, decoder=decoder)
    assert decoder.finish is reason
    assert decoder.is_over


def test_usage_is_cumulative_and_partial() -> None:
    first = {"input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 85, "output_tokens": 1}
    last = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}
    events = read(
        {"type": "message_start", "message": {"usage": first}},
        {"type": "message_delta", "delta": {}, "usage": last},
        {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 0, "output_tokens": 7}},
    )
    known = Usage(input_tokens=100, cached_input_tokens=85, cache_write_tokens=5, output_tokens=1)
    assert events == [
        UsageReported(known),
        UsageReported(msgspec.structs.replace(known, output_tokens=7, reasoning_tokens=3)),
    ]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ((b"error", b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}'), ProviderOverloaded),
        ((b"", b'{"type":"error","error":{"type":"authentication_error"}}'), ProviderAuth),
        ((b"", b'{"error":{"type":"invalid_request_error"}}'), ProviderRefused),
        ((b"error", b"died"), ProviderOverloaded),
        ((b"ping", b"{"), ProviderProtocol),
        ((b"", b'{"type":"content_block_delta","delta":"x"}'), ProviderProtocol),
    ],
)
def test_errors_in_the_stream(event: tuple[bytes, bytes], kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        list(MessagesDecoder().take(event))
    assert type(caught.value) is kind


def test_ids_that_an_earlier_turn_used_are_replaced() -> None:
    events = read(start(0, type="tool_use", id="a", name="f"), stop(0), decoder=MessagesDecoder(["a"]))
    assert isinstance(events[0], ToolCallStarted)
    assert events[0].id.startswith("toolu_")
    assert events[1] == ToolCallEnded(id=events[0].id)


def test_a_character_cut_into_halves() -> None:
    decoder = MessagesDecoder()
    data = rb'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
    events = [*decoder.take((b"", data % rb"a\ud83d")), *decoder.take((b"", data % rb"\ude80")), *decoder.end()]
    assert events == [TextPiece("a"), TextPiece("🚀")]


def test_names_ids_and_inputs_are_cleaned() -> None:
    block = rb'{"type":"tool_use","id":"\ud800i\u0000","name":"f\udfff","input":{"\ud800":["\ud800"]}}'
    event = rb'{"type":"content_block_start","index":0,"content_block":%s}' % block
    decoder = MessagesDecoder()
    assert [*decoder.take((b"", event)), *decoder.end()] == [
        ToolCallStarted(id="\ufffdi\ufffd", name="f\ufffd"),
        ToolCallPiece(id="\ufffdi\ufffd", fragment='{"\ufffd":["\ufffd"]}'),
        ToolCallEnded(id="\ufffdi\ufffd"),
    ]


def test_what_could_not_be_sent_back_is_dropped() -> None:
    decoder = MessagesDecoder()
    start_of = rb'{"type":"content_block_start","index":0,"content_block":%s}'
    events = [
        *decoder.take((b"", start_of % rb'{"type":"redacted_thinking","data":"\ud800"}')),
        *decoder.take((b"", start_of % rb'{"type":"thinking","thinking":"hm","signature":"\udfff"}')),
        *decoder.end(),
    ]
    assert events == [ReasoningPiece("hm"), ReasoningEnded()]


def test_what_cannot_be_a_count_is_unknown() -> None:
    events = read({"type": "message_start", "message": {"usage": {"input_tokens": 2**63, "output_tokens": 1}}})
    assert events == [UsageReported(Usage(output_tokens=1))]


def test_signatures_and_calls_say_who_made_them() -> None:
    events = read(
        start(0, type="thinking", thinking="", signature="sig"),
        start(1, type="redacted_thinking", data="opaque"),
        start(2, type="tool_use", id="a", name="f"),
        decoder=MessagesDecoder((), "me"),
    )
    assert [event for event in events if isinstance(event, ReasoningEnded | ToolCallEnded)] == [
        ReasoningEnded(redacted="opaque", producer="me"),
        ReasoningEnded(signature="sig", producer="me"),
        ToolCallEnded(id="a", producer="me"),
    ]
