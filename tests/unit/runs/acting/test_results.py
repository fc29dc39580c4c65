"""What became of a call, in the words of the model, the events and the tool log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from retinue.domain.ids import new_id
from retinue.domain.model_io import ToolResult
from retinue.domain.tools import CallStatus, Effect, JournalEntry, Risk
from retinue.runs.calls.results import MAX_DETAIL_CHARS, finished_event, fit_detail, fit_result, log_entry, tool_turn
from tests.support.runs import json_values


def entry(**fields: Any) -> JournalEntry:
    plain: dict[str, Any] = {
        "run_id": new_id(),
        "position": 1,
        "step": 1,
        "call_id": "c1",
        "name": "look",
        "version": "1",
        "args": {"q": 1},
        "effect": Effect.READ,
        "risk": Risk.LOW,
        "status": CallStatus.SUCCEEDED,
        "duration_ms": 7,
    }
    return JournalEntry(**{**plain, **fields})


@given(json_values)
def test_what_fits_stays_as_it_is(value: Any) -> None:
    text = msgspec.json.encode(value).decode()
    if "\\u0000" not in text:
        assert fit_result(value, max(len(text), 1)) == value


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert fit_result("x" * 11, 10) == "x" * 10 + "\n[cut off: 10 of 11 characters]"
    assert fit_result("x" * 10, 10) == "x" * 10
    assert fit_result(["x" * 20], 5) == '["xxx\n[cut off: 5 of 24 characters]'
    assert fit_result({"a": 1}, 7) == {"a": 1}
    assert fit_result({"a": 1}, 6) == '{"a":1\n[cut off: 6 of 7 characters]'
    assert fit_result("ü😀" * 5, 4) == "ü😀ü😀\n[cut off: 4 of 10 characters]", "characters, not bytes"


def test_an_error_in_words_is_clean_and_not_too_long() -> None:
    assert fit_detail("No\x00.") == "No\ufffd."
    assert fit_detail("x" * MAX_DETAIL_CHARS) == "x" * MAX_DETAIL_CHARS
    cut = fit_detail("x" * 2_000_000)
    assert len(cut) < MAX_DETAIL_CHARS + 100
    assert cut.endswith(f"[cut off: {MAX_DETAIL_CHARS} of 2000000 characters]")


def test_what_no_database_takes_is_cleaned() -> None:
    assert fit_result({"a\x00": ["b\x00", "\ud800"]}, 100) == {"a\ufffd": ["b\ufffd", "\ufffd"]}


def test_values_that_are_nearly_json_become_json() -> None:
    class Found(msgspec.Struct):
        at: datetime
        raw: bytes

    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert fit_result((Found(at=at, raw=b"x"), {1: 2}), 200) == [
        {"at": "2026-01-02T00:00:00Z", "raw": "eA=="},
        {"1": 2},
    ]


class Endless(list[Any]):
    """Contains itself."""


def endless() -> list[Any]:
    loop: list[Any] = Endless()
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value", [object(), Path("/x"), {"a": {1j}}, endless()], ids=lambda value: type(value).__name__
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, RecursionError)):
        fit_result(value, 100)


def test_a_number_that_is_none_reads_as_nothing() -> None:
    (result,) = tool_turn((entry(result=fit_result([float("nan"), float("-inf")], 100)),)).results
    assert result.content == "[null,null]"


def test_a_model_reads_text_as_text_and_all_else_as_json() -> None:
    turn = tool_turn(
        (
            entry(call_id="a", result="Плохо \n"),
            entry(call_id="b", result={"hits": [1, None]}),
            entry(call_id="c", result=None),
            entry(call_id="d", status=CallStatus.FAILED, error="tool_timeout", detail="Too slow."),
            entry(call_id="e", status=CallStatus.FAILED, error="denied"),
        )
    )
    assert turn.results == (
        ToolResult(call_id="a", name="look", content="Плохо \n"),
        ToolResult(call_id="b", name="look", content='{"hits":[1,null]}'),
        ToolResult(call_id="c", name="look", content="null"),
        ToolResult(call_id="d", name="look", content="tool_timeout: Too slow.", is_error=True),
        ToolResult(call_id="e", name="look", content="denied", is_error=True),
    )


@pytest.mark.parametrize(
    "made", [entry(result=[1]), entry(status=CallStatus.FAILED, error="x", detail="y", duration_ms=None)]
)
def test_event_and_log_say_what_the_journal_says(made: JournalEntry) -> None:
    logged = log_entry(finished_event(made))
    assert (logged.tool_call_id, logged.name, logged.args) == (made.call_id, made.name, made.args)
    assert (logged.result, logged.error, logged.detail) == (made.result, made.error, made.detail)
    assert logged.duration_ms == (made.duration_ms or 0)
