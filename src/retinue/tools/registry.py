"""Every tool that this server offers."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from retinue.domain.model_io import ToolSpec
from retinue.tools.base import Tool

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class ToolRegistry:
    """Iterates in the order of the names."""

    def __init__(self, tools: Iterable[Tool[Any]] = ()) -> None:
        """Raises: ValueError: two tools of one name, or a name that a model vendor would refuse."""
        self._tools: dict[str, Tool[Any]] = {}
        for tool in sorted(tools, key=lambda tool: tool.name):
            if not _NAME.fullmatch(tool.name) or tool.name in self._tools:
                raise ValueError(f"{tool.name!r} cannot be registered.")
            self._tools[tool.name] = tool

    def __iter__(self) -> Iterator[Tool[Any]]:
        return iter(self._tools.values())

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._tools)

    def find(self, name: str) -> Tool[Any] | None:
        return self._tools.get(name)

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """Those of the named tools that there are, in the order of the names given."""
        return tuple(self._tools[name].spec for name in dict.fromkeys(names) if name in self._tools)
