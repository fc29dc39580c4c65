"""How credentials are written."""

import re
from binascii import crc32
from uuid import UUID

import pytest

from retinue.domain.ids import new_id
from retinue.security.key_text import KeyText, make_key, read_key_text

ID = UUID("01890000-0000-7000-8000-00000000000a")
KEY = KeyText("key", ID, "0123456789abcdef" * 3)
WRITTEN = KEY.write()


def sealed(body: str) -> bytes:
    """With a checksum that fits."""
    return f"{body}_{crc32(body.encode()):08x}".encode()


def test_a_key_is_its_kind_its_id_its_secret_and_a_checksum() -> None:
    made = make_key(ID)
    assert re.fullmatch(rf"rtn_key_{ID.hex}_[0-9a-f]{{48}}_[0-9a-f]{{8}}", made.write())
    assert made.last4 == made.secret[-4:]
    assert read_key_text(made.write().encode()) == made


def test_no_two_keys_are_the_same() -> None:
    assert len({make_key(ID).secret for _ in range(100)}) == 100


@pytest.mark.parametrize("kind", ["key", "user"])
def test_what_is_written_can_be_read(kind: str) -> None:
    text = KeyText(kind, new_id(), "abcdefghij234567")  # type: ignore[arg-type]
    assert read_key_text(text.write().encode()) == text


@pytest.mark.parametrize("place", range(len(WRITTEN)))
def test_any_letter_that_is_wrong_is_noticed(place: int) -> None:
    for letter in "0a_-Z\u00e9":
        if WRITTEN[place] != letter:
            assert read_key_text((WRITTEN[:place] + letter + WRITTEN[place + 1 :]).encode()) is None


@pytest.mark.parametrize(
    "credential",
    [
        b"",
        b"rtn_key",
        WRITTEN[:-1].encode(),
        WRITTEN.upper().encode(),
        f" {WRITTEN}".encode(),
        f"{WRITTEN}\n".encode(),
        f"{WRITTEN}{WRITTEN}".encode(),
        b"\xff" * 100,
        "ｒtn_key".encode(),
        b"a" * 4096,
        sealed(f"rtn_admin_{ID.hex}_{KEY.secret}"),
        sealed(f"rtn_key_{ID}_{KEY.secret}"),
        sealed(f"rtn_key_{ID.hex.upper()}_{KEY.secret}"),
        sealed(f"rtn_key_{ID.hex}_{KEY.secret.upper()}"),
        sealed(f"rtn_key_{ID.hex}_short"),
        sealed(f"rtn_key_{ID.hex}_"),
        sealed(f"rtn_key_{ID.hex}_{'a' * 4000}"),
        sealed(f"rtn_key_{ID.hex}_{KEY.secret}_{KEY.secret}"),
    ],
)
def test_what_is_no_key_is_none(credential: bytes) -> None:
    assert read_key_text(credential) is None


def test_a_key_does_not_show_itself() -> None:
    assert KEY.secret not in f"{KEY} {KEY!r} {[KEY]}"
