"""What goes to the model when steps and appended messages add to the conversation."""

import msgspec

from retinue.domain.model_io import AssistantTurn, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from retinue.domain.policy import RunLimits
from retinue.providers.estimate import estimate_turn
from retinue.runs.context import RunContext
from tests.contract.repositories.builders import a_conversation, a_tenant, an_employee
from tests.unit.runs.conftest import context

WORDS = "x" * 400
"""About a hundred tokens."""
HISTORY: tuple[Turn, ...] = (
    UserTurn("first " + WORDS),
    AssistantTurn(text="one " + WORDS),
    UserTurn("second " + WORDS),
    AssistantTurn(text="two " + WORDS),
)
QUESTION = UserTurn("And now?")


def a_context(input_tokens: int) -> RunContext:
    employee = an_employee(a_tenant())
    plain = context(a_conversation(employee), employee, RunLimits())
    return msgspec.structs.replace(plain, turns=(*HISTORY, QUESTION), input_tokens=input_tokens)


def test_what_fitted_when_the_run_started_goes_as_it_is() -> None:
    assert a_context(1).model_request(()).turns == (*HISTORY, QUESTION)


def test_further_turns_push_out_the_oldest_history_turn_by_turn() -> None:
    added = (AssistantTurn(text="So far"), UserTurn(WORDS))
    assert a_context(2_000).model_request(added).turns == (*HISTORY, QUESTION, *added)
    assert a_context(500).model_request(added).turns == (*HISTORY[2:], QUESTION, *added)
    assert a_context(250).model_request(added).turns == (QUESTION, *added)


def test_question_and_further_turns_always_go() -> None:
    added = (AssistantTurn(text=WORDS), UserTurn(WORDS))
    assert a_context(10).model_request(added).turns == (QUESTION, *added)


def acted(number: int, *contents: str) -> tuple[AssistantTurn, ToolTurn]:
    """A step that called tools, with what they returned."""
    ids = [f"c{number}-{place}" for place in range(len(contents))]
    calls = tuple(ToolCall(id=call_id, name="look", arguments="{}") for call_id in ids)
    results = tuple(
        ToolResult(call_id=call_id, name="look", content=text) for call_id, text in zip(ids, contents, strict=True)
    )
    return AssistantTurn(text="", tool_calls=calls), ToolTurn(results)


def contents(turns: tuple[Turn, ...]) -> list[str]:
    return [result.content for turn in turns if isinstance(turn, ToolTurn) for result in turn.results]


def test_the_oldest_results_are_cut_off_once_the_history_has_gone() -> None:
    added = (*acted(1, "a" * 8_000, "b" * 8_000), *acted(2, "c" * 8_000))
    sent = a_context(4_000).model_request(added).turns
    assert sent[0] == QUESTION
    assert [type(turn) for turn in sent[1:]] == [type(turn) for turn in added], "every call keeps its result"
    first, second, third = contents(sent)
    assert first == "[cut off, because the conversation became too long: it had 8000 characters]"
    assert second.startswith("bbb")
    assert second.endswith("it had 8000 characters]")
    assert third == "c" * 8_000, "the newest is left whole"
    assert sum(map(estimate_turn, sent)) < 4_000


def test_results_that_fit_beside_the_question_stay_whole() -> None:
    added = acted(1, "a" * 8_000, "b" * 8_000)
    assert contents(a_context(6_000).model_request(added).turns) == ["a" * 8_000, "b" * 8_000]


def test_a_result_that_is_shorter_than_the_mark_stays() -> None:
    added = acted(1, "short", "b" * 8_000)
    assert contents(a_context(10).model_request(added).turns)[0] == "short"
