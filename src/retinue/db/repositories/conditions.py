"""Conditions that several repositories share."""

from typing import Any

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.domain.runs import STARTED_STATUSES


def has_started(run: type[t.Run] = t.Run) -> sa.ColumnElement[bool]:
    """Started and not over. Spelled as the partial indexes spell it: SQLite uses them for the same words only."""
    words: list[Any] = [sa.literal_column(f"'{status}'") for status in STARTED_STATUSES]
    return run.status.in_(words)
