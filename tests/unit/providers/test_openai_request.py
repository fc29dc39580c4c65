"""The body of a Chat Completions request."""

from typing import Any

import msgspec
import pytest

from retinue.domain.errors import ProviderRefused
from retinue.domain.model_io import (
    AssistantTurn,
    ModelRequest,
    ReasoningBlock,
    ToolCall,
    ToolResult,
    ToolSpec,
    ToolTurn,
    Turn,
    UserTurn,
)
from retinue.domain.policy import ReasoningEffort
from retinue.providers.openai.request import Dialect, build_body

CALL = ToolCall(id="a", name="f", arguments='{"x": 1}', extra={"extra_content": {"g": 1}, "id": "evil"})
THOUGHT = (ReasoningBlock(text="hm"), ReasoningBlock(text="!"))


def request(*turns: Turn, **fields: Any) -> ModelRequest:
    base = ModelRequest(model="m", system="s", turns=turns, max_output_tokens=9)
    return msgspec.structs.replace(base, **fields)


def messages(*turns: Turn, dialect: Dialect | None = None) -> list[dict[str, Any]]:
    found = build_body(request(*turns), dialect or Dialect())["messages"]
    assert isinstance(found, list)
    return found[1:]


def test_a_plain_request() -> None:
    assert build_body(request(UserTurn("hi")), Dialect()) == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
    }


def test_quirks() -> None:
    dialect = Dialect(max_tokens_field="max_completion_tokens", include_usage=False, system_role="developer")
    body = build_body(request(UserTurn("hi")), dialect)
    assert body["messages"][0]["role"] == "developer"
    assert body["max_completion_tokens"] == 9
    assert not {"max_tokens", "stream_options"} & set(body)


def test_what_is_set_is_sent() -> None:
    tool = ToolSpec(name="f", description="d", parameters={"type": "object"})
    body = build_body(request(UserTurn("hi"), tools=(tool,), temperature=0.0, reasoning="low"), Dialect())
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["temperature"] == 0.0
    assert body["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("effort", "word"), [("off", "none"), ("on", "medium"), ("low", "low"), ("medium", "medium"), ("high", "high")]
)
def test_reasoning(effort: ReasoningEffort, word: str) -> None:
    assert build_body(request(UserTurn("hi"), reasoning=effort), Dialect())["reasoning_effort"] == word


def test_a_tool_loop() -> None:
    results = (ToolResult(call_id="a", name="f", content="1"), ToolResult(call_id="b", name="g", content="2"))
    calls = (CALL, ToolCall(id="b", name="g", arguments="{broken"))
    assert messages(AssistantTurn(tool_calls=calls, reasoning=THOUGHT), ToolTurn(results)) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x":1}'},
                    "extra_content": {"g": 1},
                },
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "g", "arguments": '{"invalid_arguments":"{broken"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]


@pytest.mark.parametrize(
    ("dialect", "with_call", "without"),
    [
        (Dialect(), False, False),
        (Dialect(echo_reasoning=True), True, True),
        (Dialect(echo_reasoning_of_calls=True), True, False),
    ],
)
def test_reasoning_goes_back_where_it_is_wanted(dialect: Dialect, with_call: bool, without: bool) -> None:
    called, said = messages(
        AssistantTurn(tool_calls=(CALL,), reasoning=THOUGHT),
        AssistantTurn(text="x", reasoning=THOUGHT),
        dialect=dialect,
    )
    assert called.get("reasoning_content") == ("hm!" if with_call else None)
    assert said.get("reasoning_content") == ("hm!" if without else None)


def test_an_answer_of_reasoning_alone_is_left_out() -> None:
    turns = (UserTurn("hi"), AssistantTurn(reasoning=THOUGHT), UserTurn("you?"))
    assert messages(*turns, dialect=Dialect(echo_reasoning=True)) == messages(turns[0], turns[2])


def test_names_and_ids_are_spelled_as_the_vendor_takes_them() -> None:
    calls = (
        ToolCall(id="x" * 41, name="functions.look", arguments=""),
        ToolCall(id="x" * 40, name="ü" * 150, arguments=""),
        ToolCall(id="call:1", name="", arguments=""),
    )
    results = tuple(ToolResult(call_id=call.id, name=call.name, content="1") for call in calls)
    answer, *told = messages(AssistantTurn(tool_calls=calls), ToolTurn(results))
    ids = [call["id"] for call in answer["tool_calls"]]
    assert [result["tool_call_id"] for result in told] == ids
    assert len(ids[0]) == 40
    assert ids[1:] == ["x" * 40, "call:1"]
    assert ids[0] != ids[1]
    assert [call["function"]["name"] for call in answer["tool_calls"]] == ["functions_look", "_" * 64, "unnamed"]


def test_extra_fields_go_back_to_whoever_gave_them() -> None:
    turn = AssistantTurn(tool_calls=(CALL,), producer="me")
    assert messages(turn, dialect=Dialect(producer="me"))[0]["tool_calls"][0]["extra_content"] == {"g": 1}
    assert "extra_content" not in messages(turn, dialect=Dialect(producer="other"))[0]["tool_calls"][0]


def test_nothing_to_ask() -> None:
    with pytest.raises(ProviderRefused):
        build_body(request(system=""), Dialect())
