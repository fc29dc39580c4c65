"""JSON as it is stored: always UTF-8 that both databases accept."""

from typing import Any

import msgspec

from retinue.domain.text import clean_value

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """Encode a value or Struct. Lone surrogates become U+FFFD, as they do in text columns."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(clean_value(msgspec.to_builtins(value)))


def encode_text(value: Any) -> str:
    return encode(value).decode()


def decode(data: bytes | str) -> Any:
    return msgspec.json.decode(data)
