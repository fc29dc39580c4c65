"""Names that look the same and name nothing."""

import base64
from uuid import UUID

import pytest

from retinue.domain.ids import new_id
from retinue.http.pagination import decode_cursor, encode_cursor, key_after, key_cursor
from retinue.proving.things import Missing, forged_key, forged_token, missing_id, new_word
from retinue.security.key_text import KeyText, make_key, read_key_text


def test_a_missing_id_is_of_the_same_moment_and_version() -> None:
    known = new_id()
    others = {missing_id(known) for _ in range(100)}
    assert len(others) == 100
    assert known not in others
    assert {other.version for other in others} == {7}
    assert {other.int >> 64 for other in others} == {known.int >> 64}


def test_a_missing_id_has_the_same_neighbours() -> None:
    """Also those of the same millisecond: a cursor that is made of it leads to the same place in every list."""
    ids = [new_id() for _ in range(1000)]
    assert len({known.int >> 80 for known in ids}) < 100, "many are of one millisecond, or this proves nothing"
    for before, known, after in zip(ids, ids[1:], ids[2:], strict=False):
        assert before < missing_id(known) < after


def test_names_keep_their_form() -> None:
    word = new_word()
    missing = Missing(frozenset({word}))
    run = str(new_id())
    for name in (run, f"{run}:1-12", f"{word}-ann", f"https://{word}.example", f"{word}-request", "call_7"):
        other = missing.like(name)
        assert other != name
        assert len(other) == len(name)
        assert missing.like(name) == other
    assert missing.like(f"{run}:1-12") == f"{missing.like(run)}:1-12"
    UUID(missing.like(run))


def test_words_keep_their_place_in_every_order() -> None:
    words = sorted(new_word() for _ in range(20))
    missing = Missing(frozenset(words))
    assert sorted(map(missing.like, words)) == list(map(missing.like, words))


def test_cursors_stay_cursors() -> None:
    word, last = new_word(), new_id()
    missing = Missing(frozenset({word}))
    other = decode_cursor(missing.like(encode_cursor(last)))
    assert other is not None
    assert (other != last, other.int >> 64) == (True, last.int >> 64)
    assert key_after(missing.like(key_cursor(f"{word}-ann"))) == missing.like(f"{word}-ann")
    assert key_after(missing.like(key_cursor(str(last)))) == missing.like(str(last))


@pytest.mark.parametrize("cursor", [encode_cursor(UUID(int=17)), key_cursor("2026-11-20")])
def test_a_place_that_every_tenant_has_is_nobody_s(cursor: str) -> None:
    assert Missing(frozenset({new_word()})).like(cursor) == cursor


def test_a_forged_key_is_well_formed() -> None:
    known = make_key(new_id())
    forged = read_key_text(forged_key(str(known.id)).encode())
    assert forged is not None
    assert (forged.kind, forged.id) == ("key", known.id)
    assert forged.secret != known.secret


def test_a_forged_token_says_another_tenant() -> None:
    own, foreign = str(new_id()), str(new_id())
    payload = f'["{own}","key"]'.encode() + bytes(32)
    secret = base64.b32encode(payload).decode().rstrip("=").lower()
    token = KeyText("user", new_id(), secret)
    forged = read_key_text(forged_token(token.write(), own, foreign).encode())
    assert forged is not None
    assert forged.id == token.id
    said = base64.b32decode(forged.secret.upper() + "=" * (-len(forged.secret) % 8))
    assert said == payload.replace(own.encode(), foreign.encode())


def test_a_token_in_another_form_is_not_forged() -> None:
    with pytest.raises(ValueError, match="form"):
        forged_token("rtn_user_0_1_0", "own", "foreign")
    with pytest.raises(ValueError, match="tenant"):
        forged_token("rtn_user_0_abcdefgh_0", "own", "foreign")
