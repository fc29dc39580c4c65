"""Secrets are found however somebody wrote them down."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import httpx2
import pytest

from retinue.observability.redaction import MASK, Redactor

SECRET = "sk-Pr0j/abc+def=XYZ 01~23@45&6"
ODD = 'päss"wö\\rd\n№1234'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "in lower case": lambda secret: quote(secret, safe="").lower().replace("%", "%"),
    "for a path": quote,
    "for a form": quote_plus,
    "as httpx2 writes a query": lambda secret: str(httpx2.URL("https://h/", params={"key": secret})),
    "as httpx2 writes a path": lambda secret: str(httpx2.URL("https://h/").copy_with(path=f"/{secret}")),
    "every character": lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
    "every other character": lambda secret: "".join(
        f"%{byte:02x}" if number % 2 or byte > 0x7F else chr(byte) for number, byte in enumerate(secret.encode())
    ),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "base64 without padding": lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
    "basic credentials": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    "base64, percent-encoded": lambda secret: quote(base64.b64encode(secret.encode()).decode(), safe=""),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "HEXADECIMAL": lambda secret: secret.encode().hex().upper(),
    "a JSON string": json.dumps,
    "a JSON string in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False),
    "the repr of text": repr,
    "the repr of bytes": lambda secret: repr(secret.encode()),
    "in an exception": lambda secret: repr(ValueError(secret, {"key": secret})),
}


@pytest.mark.parametrize("secret", [SECRET, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_masked(name: str, secret: str) -> None:
    if name == "in lower case":
        secret = secret.lower()
    if name == "as httpx2 writes a path":
        secret = secret.replace("\n", " ")  # which it refuses to write
    redactor = Redactor()
    redactor.add(secret)
    written = SPELLINGS[name](secret)
    told = redactor.redact(f"before <{written}> after")
    assert told.startswith("before <")
    assert told.endswith("> after")
    assert MASK in told
    for start in range(len(written) - 8):
        assert written[start : start + 9] not in told or not _is_of(secret, written[start : start + 9])


def _is_of(secret: str, piece: str) -> bool:
    """Whether these characters come from the secret and not from what stands around it."""
    return piece in secret or piece in base64.b64encode(secret.encode()).decode() or piece in secret.encode().hex()


def test_the_rest_of_a_line_stays_as_it_is() -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    line = "100% of /a%20b?x=%7e and 5%, %zz, äöü " + html.escape("<x>")
    assert redactor.redact(line) == line
    assert redactor.redact(f"{quote(SECRET)} {line} {SECRET}") == f"{MASK} {line} {MASK}"


def test_secrets_side_by_side_and_inside_each_other() -> None:
    redactor = Redactor()
    for secret in ("abcdefgh", "efghijkl", "abcdefghijklmnop"):
        redactor.add(secret)
    assert redactor.redact("abcdefghefghijkl") == f"{MASK}{MASK}"
    assert redactor.redact("%61bcdefghijklmnop|") == f"{MASK}|"


def test_requests_and_headers_of_the_client_show_nothing() -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    credentials = base64.b64encode(f"user:{SECRET}".encode()).decode()
    request = httpx2.Request(
        "POST",
        httpx2.URL("https://user:unknown@host/path", params={"key": SECRET}),
        headers={"authorization": f"Bearer {SECRET}", "x-api-key": SECRET, "x-other": credentials},
    )
    shown = redactor.redact(f"{request!r} {request.headers!r} {request.headers.raw!r} {request.url!r}")
    assert MASK in shown
    for piece in ("sk-Pr0j", "01~23", credentials[8:20], "unknown"):
        assert piece not in shown
