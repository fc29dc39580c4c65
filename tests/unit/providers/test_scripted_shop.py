"""The scripted employee of the demo shop understands what its tools are for."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from retinue.domain.model_io import (
    AssistantTurn,
    Finished,
    FinishReason,
    ModelRequest,
    ProviderEvent,
    TextPiece,
    ToolCall,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    ToolResult,
    ToolSpec,
    ToolTurn,
    Turn,
    UserTurn,
)
from retinue.providers.scripted.shop import shop

TOOLS = ("get_order_status", "get_tracking_info", "cancel_order", "apply_discount", "generate_coupon")


def play(*turns: Turn | str, tools: Sequence[str] = TOOLS) -> list[ProviderEvent]:
    asked = ModelRequest(
        model="scripted-shop",
        system="",
        turns=tuple(UserTurn(turn) if isinstance(turn, str) else turn for turn in turns),
        tools=tuple(ToolSpec(name=name, description="", parameters={}) for name in tools),
        max_output_tokens=1000,
    )
    return list(shop(asked))


def text_of(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextPiece))


def calls_of(events: list[ProviderEvent]) -> list[tuple[str, Any]]:
    """Names and arguments, in their order; each call is whole."""
    started = [event for event in events if isinstance(event, ToolCallStarted)]
    assert [event.id for event in events if isinstance(event, ToolCallEnded)] == [event.id for event in started]
    texts = {
        event.id: "".join(
            piece.fragment for piece in events if isinstance(piece, ToolCallPiece) and piece.id == event.id
        )
        for event in started
    }
    return [(event.name, msgspec.json.decode(texts[event.id])) for event in started]


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("Where is my order 1042?", [("get_order_status", {"order_id": "1042"})]),
        ("What is the status of #A-17?", [("get_order_status", {"order_id": "A-17"})]),
        ("Track 1042 please", [("get_tracking_info", {"order_id": "1042"})]),
        ("CANCEL order no. 7!", [("cancel_order", {"order_id": "7"})]),
        ("A discount for order 1042", [("apply_discount", {"order_id": "1042", "discount_percent": 10})]),
        ("Take 25 % off order 1042", [("apply_discount", {"order_id": "1042", "discount_percent": 25})]),
        ("A coupon of 15 percent", [("generate_coupon", {"discount_percent": 15})]),
        ("A 5% voucher for 7 days", [("generate_coupon", {"discount_percent": 5, "expiry_days": 7})]),
        (
            "Where is order 1042? Cancel order 1043 and give me a coupon of 15%.",
            [
                ("get_order_status", {"order_id": "1042"}),
                ("cancel_order", {"order_id": "1043"}),
                ("generate_coupon", {"discount_percent": 15}),
            ],
        ),
        (
            "Where is order 1042, and please track it",
            [("get_order_status", {"order_id": "1042"}), ("get_tracking_info", {"order_id": "1042"})],
        ),
        ("Cancel order 1042. Cancel order 1042!", [("cancel_order", {"order_id": "1042"})]),
    ],
)
def test_words_become_calls_in_their_order(said: str, calls: list[tuple[str, Any]]) -> None:
    events = play(said)
    assert calls_of(events) == calls
    assert events[-1] == Finished(FinishReason.TOOL_CALLS)


def test_an_order_that_was_spoken_of_is_meant() -> None:
    events = play("Where is order 1042?", AssistantTurn(text="On its way."), "Then cancel it")
    assert calls_of(events) == [("cancel_order", {"order_id": "1042"})]


def test_a_share_is_no_order() -> None:
    events = play("Where is order 1042?", AssistantTurn(text="On its way."), "Give that order 20% off")
    assert calls_of(events) == [("apply_discount", {"order_id": "1042", "discount_percent": 20})]


def test_says_what_it_is_and_what_can_be_asked() -> None:
    events = play("Hello! What can you do for me?")
    assert "no model is asked" in text_of(events)
    assert events[-1] == Finished(FinishReason.STOP)


def test_asks_which_order_is_meant() -> None:
    events = play("Cancel my order")
    assert text_of(events).startswith("Which order do you mean?")
    assert events[-1] == Finished(FinishReason.STOP)


def test_what_it_cannot_do_is_said_beside_what_it_does() -> None:
    events = play("Cancel order 1042 and give me a coupon", tools=["cancel_order"])
    assert text_of(events) == "I have not been given the tool generate_coupon."
    assert calls_of(events) == [("cancel_order", {"order_id": "1042"})]


def test_tells_what_became_of_the_calls() -> None:
    results = (
        ToolResult(call_id="call_1", name="get_order_status", content='{"order_id":"1","carrier":null}'),
        ToolResult(call_id="call_2", name="cancel_order", content="denied: Not today.", is_error=True),
        ToolResult(
            call_id="call_3", name="generate_coupon", content='{"message":"Here you are.","status":"generated"}'
        ),
        ToolResult(call_id="call_4", name="other", content="plain words"),
        ToolResult(call_id="call_5", name="get_tracking_info", content='{"message":"Soon.","carrier":"DHL"}'),
    )
    call = ToolCall(id="call_1", name="get_order_status", arguments="{}")
    events = play("Do it", AssistantTurn(tool_calls=(call,)), ToolTurn(results))
    assert text_of(events) == (
        "get_order_status says: order id 1. cancel_order was not done: denied: Not today. "
        "Here you are. other says: plain words Soon. (carrier DHL)"
    )
    assert events[-1] == Finished(FinishReason.STOP)


def test_what_is_appended_is_understood_as_well() -> None:
    call = ToolCall(id="call_1", name="get_order_status", arguments="{}")
    result = ToolResult(call_id="call_1", name="get_order_status", content="{}")
    events = play("Order 1042?", AssistantTurn(tool_calls=(call,)), ToolTurn((result,)), "And cancel it")
    assert events[0] == ToolCallStarted(id="call_2", name="cancel_order")
    assert calls_of(events) == [("cancel_order", {"order_id": "1042"})]


@pytest.mark.parametrize("unit", ["order ", "order-", "#", "1", " ", "1 ", "order" + " " * 50, "9%", ","])
def test_long_messages_take_no_time(unit: str) -> None:
    said = (unit * 60_000)[:60_000]
    began = time.process_time()
    play(said)
    assert time.process_time() - began < 1
