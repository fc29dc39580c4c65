"""The parts of an assistant's turn, and how they are stored."""

import msgspec
import pytest

from retinue.domain.model_io import AssistantTurn, PartKind, ReasoningBlock, Stretch, ToolCall, Turn

FIRST, SECOND = ReasoningBlock(text="hm", signature="s1"), ReasoningBlock(redacted="sealed")
A, B = (ToolCall(id=name, name="look", arguments="{}") for name in "ab")
WHOLE = AssistantTurn(text="one, two", reasoning=(FIRST, SECOND), tool_calls=(A, B))


def ordered(*stretches: tuple[PartKind, int]) -> AssistantTurn:
    return msgspec.structs.replace(WHOLE, order=tuple(Stretch(*stretch) for stretch in stretches))


def test_the_usual_order() -> None:
    assert list(WHOLE.parts()) == [FIRST, SECOND, "one, two", A, B]
    assert list(AssistantTurn().parts()) == []


def test_an_order_of_its_own() -> None:
    turn = ordered(
        (PartKind.TEXT, 4),
        (PartKind.REASONING, 1),
        (PartKind.TOOL_CALL, 2),
        (PartKind.REASONING, 1),
        (PartKind.TEXT, 4),
    )
    assert list(turn.parts()) == ["one,", FIRST, A, B, SECOND, " two"]


def test_an_order_that_says_too_little_or_too_much() -> None:
    assert list(ordered((PartKind.TEXT, 3), (PartKind.TOOL_CALL, 1)).parts()) == ["one", A, FIRST, SECOND, ", two", B]
    assert list(ordered((PartKind.TEXT, 99), (PartKind.TOOL_CALL, 9)).parts()) == ["one, two", A, B, FIRST, SECOND]


def test_what_is_stored_comes_back() -> None:
    turn = msgspec.structs.replace(ordered((PartKind.TEXT, 3), (PartKind.REASONING, 2)), producer="p")
    assert msgspec.json.decode(msgspec.json.encode(turn), type=Turn) == turn


@pytest.mark.parametrize("text", ["", "one, two"])
def test_a_turn_that_was_stored_without_an_order_can_be_read(text: str) -> None:
    stored = b'{"type":"assistant","text":"%s","reasoning":[{"text":"hm","signature":"s1","redacted":null}],' % (
        text.encode()
    )
    turn = msgspec.json.decode(stored + b'"tool_calls":[{"id":"a","name":"look","arguments":"{}"}]}', type=Turn)
    assert isinstance(turn, AssistantTurn)
    assert (turn.order, turn.producer) == ((), None)
    assert list(turn.parts()) == [FIRST, *([text] if text else []), A]
