from hashlib import sha256

import pytest

from retinue.domain.errors import AnswerTooLong
from retinue.domain.usage import Cost, Usage
from retinue.runs.draft import Draft, text_digest
from retinue.runs.stats import Speedometer


def test_text_and_reasoning_are_kept_apart() -> None:
    draft = Draft(max_chars=100)
    assert (draft.text, draft.reasoning) == ("", None)
    draft.add_reasoning("Hm. ")
    draft.add_text("Hel")
    draft.add_reasoning("So.")
    draft.add_text("lo")
    assert (draft.text, draft.reasoning) == ("Hello", "Hm. So.")


def test_text_and_reasoning_share_one_limit_in_characters() -> None:
    draft = Draft(max_chars=10)
    draft.add_reasoning("😀" * 4)
    draft.add_text("a" * 6)
    for add in (draft.add_text, draft.add_reasoning):
        with pytest.raises(AnswerTooLong):
            add("!")
    assert (draft.text, draft.reasoning) == ("a" * 6, "😀" * 4)


def test_a_piece_that_is_too_long_is_not_cut() -> None:
    draft = Draft(max_chars=5)
    draft.add_text("abc")
    with pytest.raises(AnswerTooLong):
        draft.add_text("def")
    draft.add_text("de")
    assert draft.text == "abcde"
    assert draft.speed.read(Usage(output_tokens=5)).avg_tokens_per_second is not None


def test_usage_and_cost_add_up_over_the_calls() -> None:
    draft = Draft(max_chars=5)
    assert (draft.usage, draft.total_cost) == (None, None)
    draft.add_call(Usage(output_tokens=3), Cost(micros=7))
    draft.add_call(Usage(output_tokens=4, input_tokens=1), Cost(micros=5))
    assert draft.usage == Usage(output_tokens=7, input_tokens=1)
    assert draft.total_cost == Cost(micros=12)


def test_one_call_without_a_price_makes_the_sum_unknown() -> None:
    draft = Draft(max_chars=5)
    draft.add_call(Usage(output_tokens=1), None)
    draft.add_call(Usage(output_tokens=3), Cost(micros=7))
    assert draft.usage == Usage(output_tokens=4)
    assert draft.total_cost is None


def test_a_try_that_nothing_came_from_leaves_the_sum_known() -> None:
    draft = Draft(max_chars=5)
    draft.add_call(None, None)
    assert (draft.usage, draft.total_cost) == (None, None)
    draft.add_call(Usage(output_tokens=3), Cost(micros=7))
    assert (draft.usage, draft.total_cost) == (Usage(output_tokens=3), Cost(micros=7))


def test_the_digest_is_that_of_the_bytes() -> None:
    assert text_digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert text_digest("Привет 😀") == sha256("Привет 😀".encode()).hexdigest()


def test_tool_calls_count_towards_the_length_of_an_answer() -> None:
    draft = Draft(max_chars=10)
    draft.add_text("12345")
    draft.add_call_text("6789")
    with pytest.raises(AnswerTooLong):
        draft.add_call_text("xx")
    assert draft.text == "12345"


def test_tokens_of_tool_calls_are_no_speed_of_the_text() -> None:
    slow, fast = Draft(max_chars=100), Draft(max_chars=100)
    for draft in (slow, fast):
        draft.speed = Speedometer(clock=iter((0.0, 0.5, 1.0)).__next__)
        draft.speed.call_started()
        draft.add_text("1234")
        draft.add_text("5678")
        draft.add_call(Usage(output_tokens=4000), None)
    slow.add_call_text("{}")
    assert slow.stats().avg_tokens_per_second == 4.0  # two estimated tokens in half a second
    assert fast.stats().avg_tokens_per_second == 8000.0
