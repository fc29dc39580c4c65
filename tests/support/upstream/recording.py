"""What the fake upstream remembers of every request."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.upstream.scenario import Scenario


@dataclass(kw_only=True)
class RecordedRequest:
    """One request and what became of it. Times are `time.monotonic()`."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: Any
    """The parsed JSON; None where there is none."""
    raw_body: bytes
    peer: tuple[str, int]
    scenario: Scenario | None = None
    received_at: float = field(default_factory=time.monotonic)
    answered_at: float | None = None
    """When the headers were sent."""
    completed_at: float | None = None
    """When the whole answer had been written; None for ever if it was cut."""
    closed_at: float | None = None
    """When the peer closed before the answer was complete."""
    frames_sent: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def was_abandoned(self) -> bool:
        """The peer closed before the answer was complete."""
        return self.closed_at is not None

    @property
    def key(self) -> str | None:
        """The credential, whichever header carried it."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return bearer or self.headers.get("x-api-key") or self.headers.get("api-key")

    def note_closed(self) -> None:
        self.closed_at = time.monotonic()
        self.closed.set()
