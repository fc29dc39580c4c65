"""When a connection of PostgreSQL plans its statements anew."""

from typing import Any

import pytest

from retinue.db.dialects import postgresql
from retinue.db.dialects.postgresql import is_to_plan_anew


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(postgresql, "monotonic", lambda: now[0])
    return now


def test_whenever_it_is_twice_as_old(clock: list[float]) -> None:
    notes: dict[Any, Any] = {}
    found = []
    for tenths in range(320):
        clock[0] = 1000 + tenths / 10
        if is_to_plan_anew(notes):
            found.append(tenths / 10)
    assert found == [1, 3, 7, 15, 31]


def test_each_for_itself(clock: list[float]) -> None:
    first: dict[Any, Any] = {}
    assert not is_to_plan_anew(first)
    clock[0] += 1
    assert not is_to_plan_anew({})
    assert is_to_plan_anew(first)


def test_one_that_was_idle_for_long_begins_from_there(clock: list[float]) -> None:
    notes: dict[Any, Any] = {}
    assert not is_to_plan_anew(notes)
    clock[0] += 100
    assert is_to_plan_anew(notes)
    clock[0] += 1.9
    assert not is_to_plan_anew(notes)
    clock[0] += 0.1
    assert is_to_plan_anew(notes)
