"""The answer in the making."""

from hashlib import sha256

from retinue.domain.errors import AnswerTooLong
from retinue.domain.messages import ToolLogEntry
from retinue.domain.usage import Cost, GenerationStats, Usage, add_usage
from retinue.providers.estimate import estimate_tokens
from retinue.runs.stats import Speedometer


class Draft:
    """What a run has produced so far. It is what gets stored, however the run ends."""

    __slots__ = (
        "_chars_left",
        "_currency",
        "_has_calls",
        "_has_unpriced_calls",
        "_is_resumed",
        "_measured_from",
        "_micros",
        "_reasoning",
        "_text",
        "speed",
        "tool_log",
        "usage",
    )

    def __init__(self, *, max_chars: int) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._chars_left = max_chars
        self.tool_log: list[ToolLogEntry] = []
        self.usage: Usage | None = None
        self._micros = 0
        self._currency = ""
        self._has_unpriced_calls = False
        self._has_calls = False
        self._is_resumed = False
        self._measured_from = 0
        self.speed = Speedometer()

    def add_text(self, piece: str) -> None:
        """Append to the answer.

        Raises:
            AnswerTooLong: the piece would make the answer longer than allowed; it is not appended.
        """
        self._spend(piece)
        self._text.append(piece)
        self.speed.count(piece)

    def has_room_for(self, text: str) -> bool:
        """Whether it may be appended."""
        return len(text) <= self._chars_left

    def add_reasoning(self, piece: str) -> None:
        """Append to the reasoning, which counts towards the same limit."""
        self._spend(piece)
        self._reasoning.append(piece)

    def go_on(self) -> None:
        """What is in it was written by another process: how fast the text comes is measured from here."""
        self.speed, self._measured_from, self._is_resumed = Speedometer(), len(self.text), True

    def add_call_text(self, text: str) -> None:
        """Count what a tool call is made of towards the same limit.

        Raises:
            AnswerTooLong: see `add_text`.
        """
        self._spend(text)
        self._has_calls = True

    def add_call(self, usage: Usage | None, cost: Cost | None) -> None:
        """Add one closed model call.

        A call without usage failed before anything came and counts for nothing here; the ledger keeps it as unknown.
        The sum of the cost is unknown as soon as one call with usage has no price.
        """
        if usage is None:
            return
        self.usage = usage if self.usage is None else add_usage(self.usage, usage)
        if cost is None:
            self._has_unpriced_calls = True
        else:
            self._micros += cost.micros
            self._currency = cost.currency

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str | None:
        return "".join(self._reasoning) or None

    @property
    def total_cost(self) -> Cost | None:
        if self.usage is None or self._has_unpriced_calls:
            return None
        return Cost(micros=self._micros, currency=self._currency)

    def stats(self) -> GenerationStats:
        """How fast the text came. Where not all that was counted became text that was measured, because of tool calls
        or of another process, its tokens are estimated.
        """
        is_mixed = self._has_calls or self._is_resumed
        text_tokens = estimate_tokens(self.text[self._measured_from :]) if is_mixed else None
        return self.speed.read(self.usage, text_tokens=text_tokens)

    def _spend(self, piece: str) -> None:
        if len(piece) > self._chars_left:
            raise AnswerTooLong
        self._chars_left -= len(piece)


def text_digest(text: str) -> str:
    """SHA-256 of the text as UTF-8, in hexadecimal."""
    return sha256(text.encode()).hexdigest()
