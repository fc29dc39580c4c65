"""JSON that is kept as text."""

from typing import Any

import msgspec

from retinue.domain.encoding import decode


def read_json(text: str) -> Any:
    """The value. Text that was damaged and is no JSON any more comes back as it is: whoever holds a digest of the value
    notices, and a list of many rows does not fail for the sake of one.
    """
    try:
        return decode(text)
    except msgspec.DecodeError:
        return text
