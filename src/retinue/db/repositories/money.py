"""Money and tokens between values and columns."""

from typing import Any

import sqlalchemy as sa

from retinue.domain.usage import Cost, Usage


def cost_columns(cost: Cost | None) -> dict[str, Any]:
    return {"cost_micros": cost and cost.micros, "currency": cost and cost.currency}


def cost_of(row: sa.Row[Any]) -> Cost | None:
    return None if row.cost_micros is None else Cost(micros=row.cost_micros, currency=row.currency)


def usage_columns(usage: Usage | None) -> dict[str, Any]:
    return {name: usage and getattr(usage, name) for name in Usage.__struct_fields__}


def usage_of(row: sa.Row[Any]) -> Usage | None:
    """The usage in columns of its own. Without a provenance nothing was ever reported or estimated."""
    if row.provenance is None:
        return None
    return Usage(**{name: getattr(row, name) for name in Usage.__struct_fields__})
