"""Turns that another producer made, and calls that no vendor would take back as they are."""

import re

import pytest

from retinue.domain.model_io import (
    AssistantTurn,
    PartKind,
    ReasoningBlock,
    Stretch,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserTurn,
)
from retinue.providers.earlier_turns import producer_of, turns_for

WORDS = re.compile(r"[a-zA-Z0-9_-]+")
ME, OTHER = "me", "other"


def asked(*ids: str, producer: str | None = None, name: str = "look") -> tuple[AssistantTurn, ToolTurn]:
    """A turn with calls of these ids, and their results."""
    calls = tuple(ToolCall(id=call_id, name=name, arguments="{}", extra={"sig": call_id}) for call_id in ids)
    results = tuple(ToolResult(call_id=call_id, name=name, content=call_id) for call_id in ids)
    return AssistantTurn(tool_calls=calls, producer=producer), ToolTurn(results)


def told(*turns: Turn, by: str | None = ME) -> list[Turn]:
    return list(turns_for(by, turns, fit_ids=WORDS))


def ids_told(*turns: Turn) -> list[str]:
    """The ids of the calls, which are those of their results."""
    calls, results = told(*turns)
    assert isinstance(calls, AssistantTurn)
    assert isinstance(results, ToolTurn)
    ids = [call.id for call in calls.tool_calls]
    assert [result.call_id for result in results.results] == ids
    return ids


def test_turns_that_fit_stay_as_they_are() -> None:
    turns = (UserTurn("hi"), *asked("call_1", "toolu-2", producer=ME), AssistantTurn(text="Done."))
    assert told(*turns) == list(turns)


@pytest.mark.parametrize("producer", [None, OTHER])
def test_ids_that_do_not_fit_become_others_that_stay_apart(producer: str | None) -> None:
    long = "x" * 100
    ids = ("fine", "a b", "a_b", "a.b", "ü", long, long + "y", "")
    spelled = ids_told(*asked(*ids, producer=producer))
    assert all(WORDS.fullmatch(call_id) for call_id in spelled)
    assert [spelled[0], spelled[2], *spelled[5:7]] == ["fine", "a_b", long, long + "y"]
    assert len({*spelled}) == len(ids)
    assert all(len(call_id) <= 40 for call_id in {*spelled} - {*ids})
    assert ids_told(*asked(*ids, producer=producer)) == spelled


def test_who_gave_an_id_gets_it_back() -> None:
    assert ids_told(*asked("call:1 with a signature", producer=ME)) == ["call:1 with a signature"]


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("look", "look"),
        ("functions.look", "functions_look"),
        ("", "unnamed"),
        ("n" * 150, "n" * 64),
        ("ü", "_"),
        ("look\n", "look_"),
    ],
)
@pytest.mark.parametrize("producer", [None, ME, OTHER])
def test_names_are_spelled_as_all_vendors_take_them(name: str, spelled: str, producer: str | None) -> None:
    turn = told(asked("a", producer=producer, name=name)[0])[0]
    assert isinstance(turn, AssistantTurn)
    assert [call.name for call in turn.tool_calls] == [spelled]


def test_what_only_its_producer_understands_goes_to_nobody_else() -> None:
    turn = AssistantTurn(
        text="ab",
        reasoning=(ReasoningBlock(text="hm", signature="s"), ReasoningBlock(redacted="sealed")),
        tool_calls=(ToolCall(id="a", name="look", arguments="{}", extra={"sig": 1}),),
        order=(Stretch(PartKind.TEXT, 1), Stretch(PartKind.TOOL_CALL, 1), Stretch(PartKind.TEXT, 1)),
        producer=OTHER,
    )
    assert told(turn, by=OTHER) == [turn]
    assert told(turn) == [
        AssistantTurn(
            text="ab",
            reasoning=(ReasoningBlock(text="hm"),),
            tool_calls=(ToolCall(id="a", name="look", arguments="{}"),),
            producer=OTHER,
        )
    ]


def test_a_turn_of_which_nobody_knows_whose_it_is_keeps_everything() -> None:
    turn, _ = asked("a")
    assert told(turn) == [turn]


def test_producers() -> None:
    here = producer_of("openai", "https://a.example/v1")
    assert here == producer_of("openai", "https://a.example/v1")
    others = {producer_of("openai", "https://b.example/v1"), producer_of("anthropic", "https://a.example/v1")}
    assert len({here, *others}) == 3
    assert "example" not in here
