"""How a process owns its runs."""

import msgspec


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    """This process: a new name with every start."""
    seconds: float
    """How long an unrenewed hold lasts, on the database's clock."""
