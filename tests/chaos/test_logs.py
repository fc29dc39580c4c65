"""The judges of chaos notice what they are there for."""

from typing import Any

import pytest

from retinue.domain.ids import new_id
from tests.chaos.logs import Event, check_log, check_order, counting_text, sha256

RUN = str(new_id())


def _event(place: str, kind: str, **data: Any) -> Event:
    name = f"{RUN}:{place}"
    return Event(name, {"type": kind, **data, "id": name, "run_id": RUN})


def _word(place: str, text: str) -> Event:
    return _event(place, "text.delta", delta=text)


def _end(place: str, count: int, text: str) -> Event:
    return _event(place, "run.completed", event_count=count, text_sha256=sha256(text))


START = _event("1-1", "run.started")
PLAIN = [START, _word("1-2", "a"), _word("1-3", "b"), _end("1-4", 4, "ab")]


def _taken_over(discard_after: str | None) -> Event:
    return _event("2-1", "attempt.started", attempt=2, discard_after=discard_after and f"{RUN}:{discard_after}")


def test_a_good_log_passes() -> None:
    assert check_log(PLAIN)["event_count"] == 4
    assert counting_text(PLAIN) == "ab"


@pytest.mark.parametrize(("limit", "text"), [(None, "c"), ("1-1", "c"), ("1-2", "ac"), ("1-3", "abc")])
def test_what_another_attempt_takes_back_does_not_count(limit: str | None, text: str) -> None:
    log = [*PLAIN[:3], _taken_over(limit), _word("2-2", "c"), _end("2-3", 6, text)]
    check_log(log)
    assert counting_text(log) == text


@pytest.mark.parametrize(
    "log",
    [
        [],
        PLAIN[:3],
        PLAIN[1:],
        [PLAIN[0], *PLAIN[2:]],
        [PLAIN[0], PLAIN[1], *PLAIN[1:]],
        [PLAIN[0], PLAIN[2], PLAIN[1], PLAIN[3]],
        [*PLAIN, _word("1-5", "c")],
        [*PLAIN[:3], _end("1-4", 5, "ab")],
        [*PLAIN[:3], _end("1-4", 4, "abc")],
        [*PLAIN[:3], _end("2-1", 4, "ab")],
        [*PLAIN[:3], _taken_over("1-1"), _end("2-3", 5, "a")],
        [*PLAIN[:3], _taken_over("2-1"), _end("2-2", 5, "ab")],
        [START, _taken_over(None), _word("1-2", "a"), _end("2-2", 4, "a")],
        [START._replace(id=f"{RUN}:1-01"), *PLAIN[1:]],
    ],
)
def test_a_bad_log_does_not(log: list[Event]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_log(log)


def test_a_log_of_which_nothing_counts_begins_anew() -> None:
    anew = [_event("2-1", "run.started"), _event("2-2", "attempt.started", attempt=2, discard_after=None)]
    check_log([*anew, _word("2-3", "a"), _end("2-4", 4, "a")])
    check_order([*PLAIN[:3], *anew])
    with pytest.raises(AssertionError):
        check_order([*PLAIN[:3], anew[0], _word("2-2", "a")])


def test_a_reader_may_have_seen_what_was_never_stored() -> None:
    check_order([*PLAIN[:3], _taken_over("1-1")])
