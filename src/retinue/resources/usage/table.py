"""Usage as a table for spreadsheets (RFC 4180)."""

import csv
import io
from collections.abc import Sequence

from retinue.domain.spending import UsageRow

MEDIA_TYPE = "text/csv"
"""The character set is added to every text."""
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Also in their wide forms, which some spreadsheets take for the same."""


def as_csv(rows: Sequence[UsageRow], grouping: str) -> bytes:
    """A header, then a line for each row; what is not known is empty. No cell is a formula, whatever people call
    themselves: one that would be begins with an apostrophe.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    first, *others = UsageRow.__struct_fields__
    writer.writerow([grouping, *others])
    for row in rows:
        writer.writerow([_harmless(getattr(row, first)), *(_number(getattr(row, name)) for name in others)])
    return text.getvalue().encode()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text


def _number(value: int | str | None) -> int | str:
    return "" if value is None else value
