"""User tokens: what is signed counts, to the letter."""

import base64
from typing import Any
from uuid import UUID

import msgspec
import pytest

from retinue.domain.access import Scope
from retinue.domain.ids import new_id
from retinue.security.credentials import MAX_LENGTH
from retinue.security.key_text import KeyText, read_key_text
from retinue.security.secrets import ServerSecrets
from retinue.security.tokens import Claims, sign, verify

SECRETS = ServerSecrets(b"p" * 32, b"s" * 32)
NOON = 1_900_000_000


def claims(**changes: Any) -> Claims:
    usual = {
        "tenant_id": new_id(),
        "key_id": new_id(),
        "user_id": "user-1",
        "scopes": (Scope.CONVERSATIONS_READ,),
        "expires": NOON,
    }
    return Claims(**{**usual, **changes})


def read(token: str) -> KeyText:
    text = read_key_text(token.encode())
    assert text is not None
    return text


def told(text: KeyText, secrets: ServerSecrets = SECRETS, *, at: float = NOON - 1) -> Claims | None:
    return verify(text, secrets, lambda: at)


def spelled(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def test_a_token_tells_what_was_signed() -> None:
    bound = claims(employee_id=new_id(), conversation_id=new_id())
    token_id, token = sign(bound, SECRETS)
    assert read(token).id == token_id
    assert read(token).kind == "user"
    assert told(read(token)) == bound


def test_a_token_ends_at_its_time() -> None:
    text = read(sign(claims(), SECRETS)[1])
    assert told(text, at=NOON - 0.001) is not None
    assert told(text, at=NOON) is None
    assert told(text, at=NOON + 1e6) is None


def test_another_server_s_token_is_none() -> None:
    text = read(sign(claims(), SECRETS)[1])
    assert told(text, ServerSecrets(b"p" * 32, b"t" * 32)) is None
    assert told(text, ServerSecrets(b"s" * 32, b"p" * 32)) is None


def test_every_letter_counts() -> None:
    """Also with a checksum that fits, which anybody can make; also the spare bits of the last letter."""
    text = read(sign(claims(), SECRETS)[1])
    assert told(text) is not None
    for place in range(len(text.secret)):
        for letter in "abcdefghijklmnopqrstuvwxyz234567":
            altered = text.secret[:place] + letter + text.secret[place + 1 :]
            if altered != text.secret:
                assert told(KeyText("user", text.id, altered)) is None, (place, letter)


def test_the_id_is_signed_too() -> None:
    text = read(sign(claims(), SECRETS)[1])
    assert told(KeyText("user", new_id(), text.secret)) is None


@pytest.mark.parametrize("secret", ["0" * 40, "1" * 40, "8" * 40, "a" * 16, "a" * 17, "a" * 2999])
def test_what_was_never_signed_is_none(secret: str) -> None:
    assert told(KeyText("user", new_id(), secret)) is None


def test_pieces_of_two_tokens_make_no_third() -> None:
    one, other = (base64_of(read(sign(claims(user_id=name), SECRETS)[1])) for name in ("u", "v"))
    assert told(KeyText("user", new_id(), spelled(one[:-32] + other[-32:]))) is None


def base64_of(text: KeyText) -> bytes:
    return base64.b32decode(text.secret.upper() + "=" * (-len(text.secret) % 8))


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"{}",
        b"null",
        msgspec.json.encode([str(UUID(int=1)), str(UUID(int=2)), "u", ["operate"], NOON]),
        msgspec.json.encode([str(UUID(int=1)), str(UUID(int=2)), "u", ["employees:write"], NOON]),
        msgspec.json.encode([str(UUID(int=1)), str(UUID(int=2)), "u", ["tokens:write"], NOON]),
        msgspec.json.encode([str(UUID(int=1)), str(UUID(int=2)), "u", ["unheard:of"], NOON]),
        msgspec.json.encode([str(UUID(int=1)), str(UUID(int=2)), "u", [], NOON, None, None, "a new bound"]),
    ],
)
def test_even_what_is_signed_has_to_be_a_user_s(payload: bytes) -> None:
    token_id = new_id()
    signature = SECRETS.signature(b"rtn_user_" + token_id.bytes + payload)
    assert told(KeyText("user", token_id, spelled(payload + signature))) is None


def test_the_longest_token_can_be_sent() -> None:
    """A letter that JSON has to escape takes six bytes."""
    longest = claims(
        user_id="\x01" * 254 + "a",
        scopes=(
            Scope.CONVERSATIONS_READ,
            Scope.CONVERSATIONS_WRITE,
            Scope.APPROVALS_READ,
            Scope.APPROVALS_DECIDE,
        ),
        employee_id=new_id(),
        conversation_id=new_id(),
    )
    token = sign(longest, SECRETS)[1]
    assert len(token) <= MAX_LENGTH
    assert told(read(token)) == longest


def test_the_server_s_secrets_do_not_show_themselves() -> None:
    assert repr(SECRETS) == "ServerSecrets(…)"
    with pytest.raises(TypeError):
        SECRETS.__reduce__()
