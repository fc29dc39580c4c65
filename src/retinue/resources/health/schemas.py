"""Answers about the process itself."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec


class ReadinessCheck(Protocol):
    """Asks what this process needs; answers in words that give nothing away."""

    async def reasons(self) -> Sequence[str]:
        """Why the process is not ready; empty if it is."""

    def degraded(self) -> Sequence[str]:
        """What works, but worse than it should."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok"]
    version: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ready", "not_ready"]
    reasons: tuple[str, ...] = ()
    """Why not, one word each: `draining`, `database`, `not_alone`, `busy` or `lag`."""
    degraded: tuple[str, ...] = ()
    """What works, but worse than it should: `coordination`, while other processes cannot be heard."""
