import pytest

from retinue.domain.model_io import (
    AssistantTurn,
    PartKind,
    ReasoningBlock,
    ReasoningEnded,
    Stretch,
    ToolCall,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
)
from retinue.runs.assembler import StepAssembler


@pytest.fixture
def step() -> StepAssembler:
    return StepAssembler()


def test_a_step_in_which_nothing_came_is_an_empty_turn(step: StepAssembler) -> None:
    assert step.turn() == AssistantTurn()
    assert (step.text, step.reasoning, step.arguments) == ("", "", "")


def test_text_is_joined_as_it_came(step: StepAssembler) -> None:
    for piece in ("Hel", "lo ", "\n", "😀"):
        step.add_text(piece)
    assert step.turn().text == step.text == "Hello \n😀"


def test_reasoning_falls_into_blocks_with_their_signatures(step: StepAssembler) -> None:
    step.add_reasoning("first ")
    step.add_reasoning("thought")
    step.end_reasoning(ReasoningEnded(signature="s1"))
    step.end_reasoning(ReasoningEnded(redacted="sealed"))
    step.add_reasoning("second")
    assert step.reasoning == "first thoughtsecond", "also while a block is open"
    assert step.turn().reasoning == (
        ReasoningBlock(text="first thought", signature="s1"),
        ReasoningBlock(redacted="sealed"),
        ReasoningBlock(text="second"),
    )


def test_calls_stay_in_the_order_in_which_they_began(step: StepAssembler) -> None:
    step.start_call(ToolCallStarted(id="a", name="search"))
    step.start_call(ToolCallStarted(id="b", name="read"))
    step.add_arguments(ToolCallPiece(id="b", fragment='{"y"'))
    step.add_arguments(ToolCallPiece(id="a", fragment='{"x":'))
    step.add_arguments(ToolCallPiece(id="b", fragment=":2}"))
    second = step.end_call(ToolCallEnded(id="b", extra={"thought": "t"}))
    step.add_arguments(ToolCallPiece(id="a", fragment="1}"))
    first = step.end_call(ToolCallEnded(id="a"))
    assert first == ToolCall(id="a", name="search", arguments='{"x":1}')
    assert second == ToolCall(id="b", name="read", arguments='{"y":2}', extra={"thought": "t"})
    assert step.turn().tool_calls == (first, second)


def test_a_call_that_never_ended_shows_how_far_it_came(step: StepAssembler) -> None:
    step.start_call(ToolCallStarted(id="a", name="search"))
    step.add_arguments(ToolCallPiece(id="a", fragment='{"q": "ca'))
    assert step.arguments == '{"q": "ca'
    assert step.turn().tool_calls == (ToolCall(id="a", name="search", arguments='{"q": "ca'),)


def test_asking_for_the_turn_twice_changes_nothing(step: StepAssembler) -> None:
    step.add_reasoning("hm")
    assert step.turn() == step.turn()


def test_an_unusual_order_is_kept(step: StepAssembler) -> None:
    step.add_reasoning("hm")
    step.end_reasoning(ReasoningEnded(signature="s1"))
    step.add_text("I ")
    step.add_text("look")
    step.end_reasoning(ReasoningEnded(redacted="sealed"))
    step.end_reasoning(ReasoningEnded(signature="s3"))
    step.start_call(ToolCallStarted(id="a", name="search"))
    step.add_arguments(ToolCallPiece(id="a", fragment="{}"))
    step.add_text("!")
    turn = step.turn()
    assert turn.order == (
        Stretch(PartKind.REASONING, 1),
        Stretch(PartKind.TEXT, 6),
        Stretch(PartKind.REASONING, 2),
        Stretch(PartKind.TOOL_CALL, 1),
        Stretch(PartKind.TEXT, 1),
    )
    assert list(turn.parts()) == [
        ReasoningBlock(text="hm", signature="s1"),
        "I look",
        ReasoningBlock(redacted="sealed"),
        ReasoningBlock(signature="s3"),
        ToolCall(id="a", name="search", arguments="{}"),
        "!",
    ]


def test_the_usual_order_is_not_worth_storing(step: StepAssembler) -> None:
    step.end_reasoning(ReasoningEnded(signature="s1"))
    step.add_text("I look")
    step.start_call(ToolCallStarted(id="a", name="search"))
    step.start_call(ToolCallStarted(id="b", name="search"))
    assert step.turn().order == ()


@pytest.mark.parametrize("is_thought", [True, False])
def test_whose_turn_it_is(step: StepAssembler, is_thought: bool) -> None:
    if is_thought:
        step.end_reasoning(ReasoningEnded(signature="s1", producer="p"))
    else:
        step.start_call(ToolCallStarted(id="a", name="search"))
        step.end_call(ToolCallEnded(id="a", producer="p"))
    assert step.turn().producer == "p"
