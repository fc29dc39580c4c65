"""A range of time is made up of few spans."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.spans import REACHES, SLOT_SECONDS, SLOTS, cover, number_of

DAWN = datetime.min.replace(tzinfo=UTC)
DUSK = datetime.max.replace(tzinfo=UTC)
SLOT = timedelta(seconds=SLOT_SECONDS)
MOMENTS = st.datetimes(max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - it says the zone apart
RANGES = st.timedeltas(timedelta(0), timedelta(days=400)) | st.timedeltas(timedelta(0), timedelta(hours=3))


def slots_of(span: int) -> list[int]:
    slots = SLOTS[span % len(SLOTS)]
    first = span // len(SLOTS) * slots
    return [*range(first, first + slots)]


@given(MOMENTS, RANGES)
def test_every_whole_slot_is_in_one_span_and_no_other_is_in_any(since: datetime, length: timedelta) -> None:
    until = since + length
    found = cover(since, until)
    assert [slot for span in found.spans for slot in slots_of(span)] == [*range(found.begin, found.end)]
    if found.spans:
        assert (found.begins_at, found.ends_at) == (DAWN + found.begin * SLOT, DAWN + found.end * SLOT)
        assert timedelta(0) <= found.begins_at - since < SLOT
        assert timedelta(0) <= until - found.ends_at < SLOT
    else:
        assert found.begin == found.end
        assert (found.begins_at, found.ends_at) == (until, until)
        assert length < 2 * SLOT


@given(MOMENTS, RANGES)
def test_they_are_few_and_the_longest_are_known(since: datetime, length: timedelta) -> None:
    found = cover(since, since + length)
    by_level = Counter(span % len(SLOTS) for span in found.spans)
    for level, (short, long) in enumerate(pairwise(SLOTS)):
        assert by_level[level] < 2 * long / short
    assert found.longest == [span for span in found.spans if span % len(SLOTS) == max(by_level)]


@pytest.mark.parametrize(("since", "until"), [(DAWN, DAWN), (DUSK, DUSK), (DUSK - SLOT, DUSK), (DAWN, DAWN + SLOT)])
def test_time_has_a_first_and_a_last_slot(since: datetime, until: datetime) -> None:
    assert len(cover(since, until).spans) <= 1


@given(st.sets(st.tuples(st.integers(0, len(SLOTS) - 1), st.integers(0, 10**6))))
def test_every_span_has_a_number_of_its_own(places: set[tuple[int, int]]) -> None:
    numbers = {number_of(level, slot) for level, slot in places}
    assert len(numbers) == len({(level, slot // SLOTS[level]) for level, slot in places})


def test_a_span_is_made_of_whole_shorter_ones() -> None:
    assert [long % short for short, long in pairwise(SLOTS)] == [0] * (len(SLOTS) - 1)


def test_any_two_slots_are_within_the_longest_reach() -> None:
    assert [*REACHES] == sorted(REACHES)
    assert REACHES[-1] > (DUSK - DAWN) // SLOT
