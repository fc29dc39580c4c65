"""Answers about the process itself."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

ReadinessCheck = Callable[[], Awaitable[Sequence[str]]]
"""Asks what this process needs; answers with the reasons why it is not ready, in words that give nothing away."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok"]
    version: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ready", "not_ready"]
    reasons: tuple[str, ...] = ()
    """Why not, one word each, such as `draining` or `database`."""
