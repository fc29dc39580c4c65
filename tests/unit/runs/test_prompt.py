"""What the model is told. Lengths are counted in characters here."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.employees import Employee, ModelSettings, Persona
from retinue.domain.errors import InvalidRequest
from retinue.domain.messages import Role, Utterance
from retinue.domain.model_io import AssistantTurn, ReasoningBlock, Turn, UserTurn
from retinue.domain.policy import ChatListen, Permission, TaskListen
from retinue.runs.prompt import fit_history, system_prompt
from tests.support.runs import AT, EMPLOYEE_ID, RUN_ID


def said(*words: str) -> list[Utterance]:
    """A history: `"u:…"` is a user's message, `"a:…"` an answer."""
    return [Utterance(Role.USER if word.startswith("u:") else Role.ASSISTANT, word[2:]) for word in words]


def fit(
    history: Sequence[Utterance], *, window: int, system: str = "", message: str = "now", room: int = 0
) -> list[str]:
    turns = fit_history(history, system=system, message=message, window=window, answer_room=room, estimate=len)
    return [written(turn) for turn in turns]


def written(turn: Turn) -> str:
    match turn:
        case UserTurn(content=content):
            return f"u:{content}"
        case AssistantTurn(text=text):
            return f"a:{text}"
    raise AssertionError(turn)


HISTORY = ("u:1111", "a:11", "u:2222", "a:22", "u:3333", "a:33")
"""Three turns of six characters each."""


@pytest.mark.parametrize(
    ("window", "kept"),
    [(3, 0), (8, 0), (9, 1), (10, 1), (14, 1), (15, 2), (20, 2), (21, 3), (1000, 3)],
)
def test_the_newest_turns_are_kept_whole_as_many_as_fit(window: int, kept: int) -> None:
    assert fit(said(*HISTORY), window=window) == [*HISTORY[len(HISTORY) - 2 * kept :], "u:now"]


def test_system_prompt_message_and_room_for_the_answer_are_taken_off_first() -> None:
    assert fit(said(*HISTORY), window=3 + 6 + 10 + 5, system="s" * 10, room=5) == ["u:3333", "a:33", "u:now"]
    assert fit(said(*HISTORY), window=3 + 6 + 10 + 4, system="s" * 10, room=5) == ["u:now"]


def test_a_turn_that_is_too_long_hides_the_older_ones_too() -> None:
    history = said("u:1", "a:1", "u:" + "2" * 50, "a:2", "u:3", "a:3")
    assert fit(history, window=3 + 2 + 10) == ["u:3", "a:3", "u:now"]


def test_without_history_there_is_only_the_message() -> None:
    assert fit([], window=3) == ["u:now"]


@pytest.mark.parametrize(("system", "room", "window"), [("", 0, 2), ("sss", 0, 5), ("", 3, 5), ("s", 1, 4)])
def test_what_does_not_fit_even_alone_is_refused(system: str, room: int, window: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fit([], window=window, system=system, room=room)
    assert refused.value.problem_code == "message_exceeds_context"
    assert [error.pointer for error in refused.value.errors] == ["/content"]
    assert fit([], window=window + 1, system=system, room=room) == ["u:now"]


def test_messages_without_an_answer_are_turns_of_their_own() -> None:
    history = said("u:11", "u:22", "u:33", "a:33")
    assert fit(history, window=100) == ["u:11", "u:22", "u:33", "a:33", "u:now"]
    assert fit(history, window=3 + 4 + 2) == ["u:22", "u:33", "a:33", "u:now"]
    assert fit(history, window=3 + 4 + 1) == ["u:33", "a:33", "u:now"]


def test_what_a_broken_answer_did_say_is_kept() -> None:
    history = said("u:11", "a:half", "u:22")
    assert fit(history, window=100) == ["u:11", "a:half", "u:22", "u:now"]


def test_an_answer_that_said_nothing_is_left_out() -> None:
    history = said("u:11", "a:", "u:22", "a:22")
    assert fit(history, window=100) == ["u:11", "u:22", "a:22", "u:now"]


def test_an_answer_whose_question_was_not_read_is_left_out() -> None:
    assert fit(said("a:orphan", "u:22", "a:22"), window=100) == ["u:22", "a:22", "u:now"]
    assert fit(said("a:orphan", "a:another"), window=100) == ["u:now"]


def test_several_answers_to_one_message_are_one_turn() -> None:
    history = said("u:11", "a:11", "a:11", "u:2")
    assert fit(history, window=3 + 1 + 6) == ["u:11", "a:11", "a:11", "u:2", "u:now"]
    assert fit(history, window=3 + 1 + 5) == ["u:2", "u:now"]


@given(
    st.lists(st.tuples(st.sampled_from("ua"), st.text("x", min_size=1, max_size=9)), max_size=12),
    st.integers(3, 60),
)
def test_the_history_is_a_suffix_that_begins_with_a_user_and_fits(parts: list[tuple[str, str]], window: int) -> None:
    words = [f"{who}:{text}" for who, text in parts]
    *earlier, message = fit(said(*words), window=window)
    assert message == "u:now"
    assert words[len(words) - len(earlier) :] == earlier
    assert not earlier or earlier[0].startswith("u:")
    assert sum(len(word) - 2 for word in earlier) + 3 <= window


def employee(**changes: object) -> Employee:
    fields: dict[str, object] = {"system_prompt": "You are Ada.", "persona": Persona(), **changes}
    return Employee(
        id=EMPLOYEE_ID,
        tenant_id=RUN_ID,
        slug="ada",
        name="Ada",
        role="analyst",
        permission=Permission.READ,
        tools=(),
        model_settings=ModelSettings(),
        reasoning=None,
        capabilities=(),
        labels=(),
        chat_listen=ChatListen.ALL,
        task_listen=TaskListen.ALL,
        max_concurrent_tasks=None,
        created_at=AT,
        updated_at=AT,
        **fields,  # type: ignore[arg-type]
    )


def test_without_a_persona_the_system_prompt_is_the_employees_own() -> None:
    assert system_prompt(employee()) == "You are Ada."
    assert system_prompt(employee(system_prompt="", persona=Persona(tone="", greeting=""))) == ""


def test_every_part_of_the_persona_becomes_a_line() -> None:
    persona = Persona(tone="warm", greeting="Hello!", escalation_message="I will ask Bo.")
    assert system_prompt(employee(persona=persona)) == (
        "You are Ada.\n\n"
        "Tone: warm\n\n"
        "Greeting, for the first answer of a conversation: Hello!\n\n"
        "When you cannot help and a person has to take over, say: I will ask Bo."
    )
    assert system_prompt(employee(system_prompt="", persona=Persona(tone="dry"))) == "Tone: dry"


def test_reasoning_goes_back_only_where_it_is_wanted_and_then_it_counts() -> None:
    question, answer = said("u:1", "a:2")
    history = [question, msgspec.structs.replace(answer, reasoning="rrrr")]

    def turns(window: int, *, echo: bool) -> tuple[Turn, ...]:
        return fit_history(
            history, system="", message="now", window=window, answer_room=0, estimate=len, echo_reasoning=echo
        )

    assert turns(5, echo=False) == (UserTurn("1"), AssistantTurn(text="2"), UserTurn("now"))
    thought = AssistantTurn(text="2", reasoning=(ReasoningBlock(text="rrrr"),))
    assert turns(9, echo=True) == (UserTurn("1"), thought, UserTurn("now"))
    assert turns(8, echo=True) == (UserTurn("now"),)


def test_the_history_is_taken_for_longer_than_estimated() -> None:
    def kept(window: int) -> int:
        history = said("u:1234", "a:5678")
        fitted = fit_history(history, system="", message="now", window=window, answer_room=0, estimate=len, margin=1.25)
        return len(fitted) - 1

    assert (kept(12), kept(13)) == (0, 2)
