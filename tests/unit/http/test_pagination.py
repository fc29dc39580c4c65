"""Cursors and pages."""

import base64
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.errors import InvalidRequest
from retinue.domain.ids import new_id
from retinue.http.pagination import decode_cursor, encode_cursor, page_of


@given(st.uuids())
def test_a_cursor_leads_back(key: UUID) -> None:
    cursor = encode_cursor(key)
    assert decode_cursor(cursor) == key
    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None) is None


@given(st.uuids(), st.data())
def test_every_altered_character_is_noticed(key: UUID, data: st.DataObject) -> None:
    cursor = encode_cursor(key)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("abcXYZ019-_=+/ ü\x00").filter(lambda char: char != cursor[place]))
    with pytest.raises(InvalidRequest) as caught:
        decode_cursor(cursor[:place] + other + cursor[place + 1 :])
    assert caught.value.problem_code == "invalid_cursor"
    assert caught.value.errors[0].parameter == "cursor"


@given(st.text(max_size=100))
def test_noise_is_no_cursor(noise: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_cursor(noise)


@pytest.mark.parametrize("payload", [[2, b"x" * 16], [1, b"x" * 15], [1], "x", None])
def test_other_contents_are_no_cursor(payload: object) -> None:
    raw = msgspec.msgpack.encode(payload)
    with pytest.raises(InvalidRequest):
        decode_cursor(base64.urlsafe_b64encode(raw + bytes(6)).decode())


@pytest.mark.parametrize(("found", "shown", "has_next"), [(0, 0, False), (2, 2, False), (3, 2, True)])
def test_the_item_too_many_makes_a_next_page(found: int, shown: int, has_next: bool) -> None:
    ids = [new_id() for _ in range(found)]
    page = page_of(ids, 2, lambda item: item)
    assert list(page.items) == ids[:shown]
    assert page.next_cursor == (encode_cursor(ids[1]) if has_next else None)
