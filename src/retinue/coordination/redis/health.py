"""Whether the parts of a coordination work, told once per change."""

import random

import structlog

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

_log = structlog.get_logger(__name__)


class Health:
    """Sums up the parts. A line is logged when the sum changes, not for every try."""

    def __init__(self, process: str, of: str = "coordination") -> None:
        self._process = process
        self._of = of
        self._parts: list[Part] = []
        self._told: bool | None = None

    @property
    def is_good(self) -> bool:
        return bool(self._parts) and all(part.is_good for part in self._parts)

    def part(self, name: str) -> "Part":
        part = Part(name, self)
        self._parts.append(part)
        return part

    def tell(self, part: str, reason: str | None) -> None:
        """A part has changed; `reason` says why it failed."""
        if reason is not None and self._told is not False:
            self._told = False
            _log.warning(f"{self._of}_lost", process=self._process, part=part, reason=reason)
        elif self.is_good and self._told is not True:
            self._told = True
            _log.info(f"{self._of}_connected", process=self._process)


class Part:
    """One task that needs the server: whether it has it, and how long it waits before it tries again."""

    def __init__(self, name: str, health: Health) -> None:
        self.is_good = False
        self._name = name
        self._health = health
        self._failures = 0

    def works(self) -> None:
        """The server has done what it was asked to."""
        self._failures = 0
        if not self.is_good:
            self.is_good = True
            self._health.tell(self._name, None)

    def failed(self, reason: str) -> float:
        """Returns the pause before the next try: none after the first failure, as the connection may just be old."""
        if self.is_good:
            self.is_good = False
            pause = 0.0
        else:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._failures += 1
        if self._failures > 1:
            self._health.tell(self._name, reason)
        return pause
