from datetime import UTC
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.errors import InvalidRequest
from retinue.domain.ids import MAX_ATTEMPT, MAX_SEQ, START, Position, event_id, new_id, now, parse_event_id

RUN = "01928f6e-7c3a-7b1d-9e2f-0a1b2c3d4e5f"

positions = st.builds(Position, st.integers(0, MAX_ATTEMPT), st.integers(0, MAX_SEQ))


def test_ids_are_version_7_and_sort_by_age() -> None:
    ids = [new_id() for _ in range(1000)]
    assert {(made.version, made.variant) for made in ids} == {(7, "specified in RFC 4122")}
    assert {type(made) for made in ids} == {UUID}
    assert sorted(set(ids)) == ids


def test_the_clock_carries_its_zone() -> None:
    assert now().tzinfo is UTC


def test_start_stands_before_every_position() -> None:
    assert Position(1, 1) > START
    assert Position(2, 1) > Position(1, MAX_SEQ)
    assert Position(1, 10) > Position(1, 9)
    assert str(Position(3, 17)) == "3-17"


@given(st.uuids(), positions)
def test_an_event_id_is_read_back_as_it_was_written(run_id: UUID, position: Position) -> None:
    assert parse_event_id(event_id(run_id, position)) == (run_id, position)


def test_an_event_id_looks_like_this() -> None:
    assert event_id(UUID(RUN), Position(2, 31)) == f"{RUN}:2-31"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "-",
        RUN,
        f"{RUN}:",
        f"{RUN}:1",
        f"{RUN}:1-",
        f"{RUN}:-1",
        f"{RUN}:1-2-3",
        f"{RUN}:1-2:3",
        f"{RUN}:1--2",
        f"{RUN}:-1-2",
        f"{RUN}:+1-2",
        f"{RUN}:1-0x2",
        f"{RUN}:1-2.0",
        f"{RUN}:1-1_0",
        f"{RUN}:01-2",
        f"{RUN}:1-02",
        f"{RUN}: 1-2",
        f"{RUN}:1-2 ",
        f" {RUN}:1-2",
        f"{RUN}:1-2\n",
        f"{RUN}:1-2\x00",
        f"{RUN}:١-٢",
        f"{RUN}:1-²",
        f"{RUN}:{MAX_ATTEMPT + 1}-1",
        f"{RUN}:1-{MAX_SEQ + 1}",
        f"{RUN}:1-{'9' * 5000}",
        f"{RUN.upper()}:1-2",
        f"{{{RUN}}}:1-2",
        f"urn:uuid:{RUN}:1-2",
        f"{RUN.replace('-', '')}:1-2",
        f"{RUN[:-1]}:1-2",
        f"{RUN}0:1-2",
        f"{'٠' * 32}:1-2",
        "null:1-2",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_event_id(text)
    assert refused.value.problem_code == "invalid_event_id"


@given(st.text(alphabet="0123456789abcdefABCDEF-:{} \n٣", max_size=60))
def test_whatever_is_accepted_has_one_spelling(text: str) -> None:
    try:
        run_id, position = parse_event_id(text)
    except InvalidRequest:
        return
    assert event_id(run_id, position) == text
