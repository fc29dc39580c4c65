"""What is written into messages and tokens."""

import pytest

from tests.bench.plan import Plan, Stamps, stamp

STREAM = b'data: {"content":"0000001234567890 "}\n\ndata: {"content":"0000001234567999 "}\n\n'
SENT = [1234567890, 1234567999]


@pytest.mark.parametrize("place", range(len(STREAM) + 1))
def test_stamps_are_found_once_wherever_the_stream_is_cut(place: int) -> None:
    stamps = Stamps()
    assert [*stamps.read(STREAM[:place]), *stamps.read(STREAM[place:])] == SENT


def test_stamps_are_found_in_single_bytes() -> None:
    stamps = Stamps()
    assert [sent for byte in STREAM for sent in stamps.read(bytes([byte]))] == SENT


def test_stamps_that_follow_each_other_are_told_apart() -> None:
    text = (stamp() + stamp()).encode()
    first, second = Stamps().read(text)
    assert first <= second


def test_the_newest_plan_counts() -> None:
    body = f'[{{"content":"{Plan(1)}"}},{{"content":"{Plan(20, 5, 3)}"}}]'.encode()
    assert Plan.last_of(body) == Plan(20, 5, 3)


def test_a_request_without_a_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="without a plan"):
        Plan.last_of(b"{}")
