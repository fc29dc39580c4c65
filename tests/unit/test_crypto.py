"""Secrets go in and come out only where they were put."""

import base64
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.crypto import Keyring, Place
from retinue.domain.errors import InvalidRequest, SecretUnreadable, UnknownMasterKey

SECRET = "sk-proj-aBc123-äöü"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLACE = Place(tenant=UUID(int=1), table="tenant_configs", column="sealed_api_key", row=UUID(int=2))


def entry(key_id: str, key: bytes) -> str:
    return f"{key_id}:{base64.b64encode(key).decode()}"


@pytest.fixture
def keyring() -> Keyring:
    return Keyring({"old": OLD})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens(text: str) -> None:
    keyring = Keyring({"k": OLD})
    assert keyring.open(keyring.seal(text, PLACE), PLACE) == text


def test_the_result_shows_nothing_and_differs_every_time(keyring: Keyring) -> None:
    first, second = keyring.seal(SECRET, PLACE), keyring.seal(SECRET, PLACE)
    assert first != second
    assert SECRET.encode()[:6] not in first


def test_every_flipped_bit_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.seal(SECRET, PLACE)
    for index in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[index] ^= 1 << bit
            with pytest.raises(SecretUnreadable):
                keyring.open(bytes(altered), PLACE)


def test_every_cut_and_every_extension_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.seal("", PLACE)
    for altered in [*(sealed[:length] for length in range(len(sealed))), sealed + b"\0", b"\0" + sealed]:
        with pytest.raises(SecretUnreadable):
            keyring.open(altered, PLACE)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": UUID(int=9)},
        {"row": UUID(int=9)},
        {"column": "other"},
        {"table": "other"},
        {"table": "tenant_configss", "column": "ealed_api_key"},  # the same letters, cut elsewhere
        {"tenant": PLACE.row, "row": PLACE.tenant},
    ],
)
def test_a_moved_secret_does_not_open(keyring: Keyring, change: dict[str, Any]) -> None:
    elsewhere = msgspec.structs.replace(PLACE, **change)
    sealed = keyring.seal(SECRET, PLACE)
    with pytest.raises(SecretUnreadable):
        keyring.open(sealed, elsewhere)
    with pytest.raises(SecretUnreadable):
        keyring.rewrap(sealed, elsewhere)


def test_parts_of_two_secrets_do_not_combine(keyring: Keyring) -> None:
    first, second = keyring.seal("a", PLACE), keyring.seal("b", PLACE)
    cut = len(first) - (12 + 1 + 16)
    with pytest.raises(SecretUnreadable):
        keyring.open(first[:cut] + second[cut:], PLACE)


def test_the_newest_key_seals_and_every_key_opens() -> None:
    old = Keyring({"old": OLD})
    both = Keyring.parse(f" {entry('new', NEW)} , {entry('old', OLD)}\n")
    sealed = old.seal(SECRET, PLACE)
    assert both.open(sealed, PLACE) == SECRET
    assert not both.is_current(sealed)
    with pytest.raises(UnknownMasterKey):
        old.open(both.seal(SECRET, PLACE), PLACE)


def test_a_rewrapped_secret_no_longer_needs_the_old_key() -> None:
    both = Keyring({"new": NEW, "old": OLD})
    rewrapped = both.rewrap(Keyring({"old": OLD}).seal(SECRET, PLACE), PLACE)
    assert both.is_current(rewrapped)
    assert Keyring({"new": NEW}).open(rewrapped, PLACE) == SECRET


def test_a_key_of_the_same_id_but_other_bytes_does_not_open(keyring: Keyring) -> None:
    with pytest.raises(SecretUnreadable):
        Keyring({"old": NEW}).open(keyring.seal(SECRET, PLACE), PLACE)


def test_errors_and_reprs_hold_no_secret(keyring: Keyring) -> None:
    with pytest.raises(InvalidRequest) as caught:
        keyring.seal("sk-\ud800", PLACE)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert repr(keyring) == str(keyring) == "Keyring(…)"
    with pytest.raises(TypeError):
        pickle.dumps(keyring)
    assert not hasattr(keyring, "__dict__")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nokey",
        "id:",
        ":" + base64.b64encode(OLD).decode(),
        "id:" + base64.b64encode(OLD[:31]).decode(),
        "id:" + base64.b64encode(OLD + b"x").decode(),
        "id:!!" + base64.b64encode(OLD).decode(),
        "i d:" + base64.b64encode(OLD).decode(),
        entry("a", OLD) + "," + entry("a", NEW),
        entry("a", OLD) + ",",
    ],
)
def test_a_malformed_list_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^master key \d is not") as caught:
        Keyring.parse(text)
    assert base64.b64encode(OLD).decode()[:8] not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("keys", [{}, {"a": b"short"}, {"": OLD}, {"ä": OLD}])
def test_a_keyring_needs_good_keys(keys: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        Keyring(keys)


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.key"
    sealed = Keyring.load_or_create(path).seal(SECRET, PLACE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.load_or_create(path).open(sealed, PLACE) == SECRET
    assert [file.name for file in path.parent.iterdir()] == ["master.key"]


def test_many_who_make_the_file_at_once_get_one_key(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(16) as pool:
        keyrings = list(pool.map(lambda _: Keyring.load_or_create(path), range(64)))
    sealed = keyrings[0].seal(SECRET, PLACE)
    assert {keyring.open(sealed, PLACE) for keyring in keyrings} == {SECRET}
    assert [file.name for file in tmp_path.iterdir()] == ["master.key"]


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    Keyring.load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        Keyring.load_or_create(path)


def test_a_key_file_with_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ValueError, match="master key 1"):
        Keyring.load_or_create(path)


def test_whoever_listens_hears_every_secret() -> None:
    keyring = Keyring({"k1": bytes(32)})
    heard: list[str] = []
    keyring.on_secret = heard.append
    sealed = keyring.seal("open sesame", PLACE)
    assert heard == ["open sesame"]
    assert keyring.open(sealed, PLACE) == "open sesame"
    assert heard == ["open sesame"] * 2
