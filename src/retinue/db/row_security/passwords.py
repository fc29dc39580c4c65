"""Passwords on their way to PostgreSQL, as what it stores of them: the statement that carries one may be logged."""

import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from base64 import b64encode

_ITERATIONS = 4096
_SALT_BYTES = 16


def verifier(password: str) -> str:
    """What `CREATE ROLE … PASSWORD` takes in place of the password itself (SCRAM-SHA-256, RFC 5802 and 7677)."""
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(_mac(salted, b'Server Key'))}"


def _prepared(password: str) -> str:
    """As clients spell it before they prove that they know it (SASLprep, RFC 4013)."""
    kept = [character for character in password if not stringprep.in_table_b1(character)]
    blanks = [" " if stringprep.in_table_c12(character) else character for character in kept]
    return unicodedata.normalize("NFKC", "".join(blanks))


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _text(data: bytes) -> str:
    return b64encode(data).decode()
