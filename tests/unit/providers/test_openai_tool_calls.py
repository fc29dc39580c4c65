"""Tool calls as compatible servers cut them (protocols: quirks)."""

from typing import Any

import pytest

from retinue.domain.model_io import FinishReason, TextPiece, ToolCallEnded, ToolCallStarted
from retinue.providers.openai.decoder import ChatDecoder
from tests.unit.providers.chat import call, calls_of, delta, read

SIGNATURE = {"google": {"thought_signature": "c2ln"}}


def test_the_one_call_of_an_old_server() -> None:
    decoder = ChatDecoder()
    events = read(
        delta(content=None, function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": '{"x"'}),
        delta(function_call={"name": "f", "arguments": ":1}"}),
        delta(finish="function_call"),
        decoder=decoder,
    )
    assert calls_of(events) == [("f", '{"x":1}')]
    assert decoder.finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("nothing", [None, {}, {"name": "", "arguments": ""}, {"name": None}, "none"])
def test_no_call_in_the_old_form(nothing: Any) -> None:
    assert read(delta(content="x", function_call=nothing)) == [TextPiece("x")]


def test_a_call_in_both_forms_is_one() -> None:
    function = {"name": "f", "arguments": "{}"}
    events = read(delta(function_call=function, tool_calls=[{"index": 0, "id": "a", "function": function}]))
    assert calls_of(events) == [("f", "{}")]


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


@pytest.mark.parametrize(
    ("first", "second"),
    [(("f", '{"x":1}'), ("f", '{"x":2}')), (("f", "{}"), ("g", "{}")), (("f", ""), ("g", '{"y":1}'))],
)
def test_two_whole_calls_with_the_same_id(first: tuple[str, str], second: tuple[str, str]) -> None:
    fragments = [{"id": "a", "function": {"name": name, "arguments": text}} for name, text in (first, second)]
    for chunks in ([delta(tool_calls=fragments)], [delta(tool_calls=[fragment]) for fragment in fragments]):
        assert calls_of(read(*chunks)) == [first, second]


def test_a_name_that_is_repeated_with_every_fragment() -> None:
    fragments = ('{"x"', ':{"y":1', "}}")
    assert calls_of(read(*(call(id="a", name="f", arguments=text) for text in fragments))) == [("f", '{"x":{"y":1}}')]


def test_fragments_after_two_calls_with_the_same_id_go_to_the_second() -> None:
    events = read(
        call(id="a", name="f", arguments="{}"), call(id="a", name="g", arguments='{"x"'), call(id="a", arguments=":1}")
    )
    assert calls_of(events) == [("f", "{}"), ("g", '{"x":1}')]


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


def test_a_call_says_who_made_it() -> None:
    events = read(call(index=0, id="a", name="f"), decoder=ChatDecoder((), "me"))
    assert events[-1] == ToolCallEnded(id="a", producer="me")
