"""What one request asks of the upstream, written into the message itself, so that it passes through any service."""

import re
from collections.abc import Iterator
from time import monotonic_ns
from typing import NamedTuple

_PLAN = re.compile(rb"tokens=(\d+) gap=(\d+) calls=(\d+)")
_STAMP = re.compile(rb"(\d{16}) ")
_LONGEST_CUT = 17
"""Bytes at the end of a piece that may be the beginning of a stamp."""


class Plan(NamedTuple):
    tokens: int
    gap_ms: int = 0
    """Between two tokens; 0 for as fast as they can be sent."""
    calls: int = 0
    """Tool calls that come before the answer, one a step."""

    def __str__(self) -> str:
        return f"tokens={self.tokens} gap={self.gap_ms} calls={self.calls}"

    @classmethod
    def last_of(cls, body: bytes) -> "Plan":
        """The plan in the newest message of a request to a model.

        Raises:
            ValueError: there is none.
        """
        found = list(_PLAN.finditer(body))
        if not found:
            raise ValueError("a request without a plan")
        return cls(*map(int, found[-1].groups()))


def stamp() -> str:
    """A token that says when it was made, on the clock that all processes of this machine share."""
    return f"{monotonic_ns() // 1000:016d} "


class Stamps:
    """Finds the stamps in a stream of bytes, wherever those are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, piece: bytes) -> Iterator[int]:
        """Microseconds, on the clock of `stamp`."""
        data = self._rest + piece
        end = 0
        for found in _STAMP.finditer(data):
            end = found.end()
            yield int(found[1])
        self._rest = data[max(end, len(data) - _LONGEST_CUT) :]
