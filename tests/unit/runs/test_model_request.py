"""What goes to the model when steps and appended messages add to the conversation."""

import msgspec

from retinue.domain.model_io import AssistantTurn, Turn, UserTurn
from retinue.domain.policy import RunLimits
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
