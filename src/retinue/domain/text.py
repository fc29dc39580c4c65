"""Text that every database, protocol and client can carry."""

import re
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace NUL and lone surrogates by U+FFFD. PostgreSQL refuses the first, UTF-8 the second.

    The length in characters stays the same, so limits may be checked before or after.
    """
    return _UNFIT.sub(REPLACEMENT, text) if _UNFIT.search(text) else text


def clean_value(value: Any) -> Any:
    """The value of a JSON document with all its texts clean, keys included."""
    match value:
        case str():
            return clean(value)
        case list() | tuple():
            return [clean_value(item) for item in value]
        case dict():
            return {clean_value(key): clean_value(item) for key, item in value.items()}
    return value
