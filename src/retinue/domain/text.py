"""Text that every database, protocol and client can carry.

It is made so where it comes in: bodies in `http.decoding`, queries where a service is asked, what providers say in
`providers.json_text`, arguments and results of tools in `runs.calls`. Ids, idempotency keys, event ids and request ids
have grammars in which neither occurs, headers can hold neither, and settings that do are refused. The text columns of
`db` are the last net, and `domain.encoding` for surrogates, which JSON cannot spell.
"""

import re
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace NUL and lone surrogates by U+FFFD. PostgreSQL refuses the first, UTF-8 the second.

    The length in characters stays the same, so limits may be checked before or after.
    """
    return _UNFIT.sub(REPLACEMENT, text) if _UNFIT.search(text) else text


def is_clean(value: Any) -> bool:
    """Whether a text, or the value of a JSON document, has nothing to be cleaned."""
    match value:
        case str():
            return _UNFIT.search(value) is None
        case list() | tuple():
            return all(map(is_clean, value))
        case dict():
            return all(is_clean(key) and is_clean(item) for key, item in value.items())
    return True


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
