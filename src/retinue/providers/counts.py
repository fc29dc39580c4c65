"""Token counts as vendors send them."""

MAX_COUNT = 2**31 - 1
"""No call has more tokens than this. Sums of counts stay far below what a database's integer holds."""


def count(value: object) -> int | None:
    """A token count, or null for whatever cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None
