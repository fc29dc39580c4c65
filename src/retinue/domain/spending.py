"""What the ledger adds up to."""

from enum import StrEnum

import msgspec


class Grouping(StrEnum):
    DAY = "day"
    EMPLOYEE = "employee"
    USER = "user"
    MODEL = "model"
    CONVERSATION = "conversation"


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one group that have ended. A count is null if none of them knows it: null is not zero."""

    key: str
    """The day of UTC as `2026-11-20`, the id of employee, user or conversation, or `provider/model`. Empty for calls of
    which no user is known."""
    calls: int
    """Each try of a model call is one."""
    runs: int
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_micros: int | None
    """Of the calls whose cost is known."""
    currency: str = "USD"
    unknown_cost_calls: int
    """Calls whose cost is not known, and not in the sum."""
    estimated_calls: int
    """Calls whose tokens the provider did not report."""
