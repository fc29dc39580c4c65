"""Answers of the tools resource."""

from typing import Any

import msgspec

from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Tool


class ShownTool(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an employee can do, if it is on its list of tools."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments."""
    effect: Effect
    """The worst that a call can do: `read` changes nothing, `idempotent` and `write` need the permission `write` and an
    approval.
    """
    risk: Risk
    """Of an ordinary call; the server computes it anew for every call."""
    touches: str
    """What the tool reaches, in words."""
    version: str
    """Approvals are bound to it."""


def shown(tool: Tool[Any]) -> ShownTool:
    return ShownTool(
        name=tool.name,
        description=tool.description,
        parameters=tool.spec.parameters,
        effect=tool.effect,
        risk=tool.risk,
        touches=tool.touches,
        version=tool.version,
    )
