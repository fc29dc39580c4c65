"""How fast an answer came.

The rates count output tokens without reasoning, because only those become text. Pieces are not tokens, so the tokens of
a stretch of time are its share of the characters, scaled to the token count that the provider reported.

Time is cut into samples: a sample ends with the first piece that arrives 200 ms or more after the sample began. The
average is over the whole time from the first to the last piece. An answer that arrives within less than one sample has
no speed between its pieces; its one rate is taken from the start of the model call, so that a short answer gets a
number that a person would recognise, and minimum, average and maximum are the same.
"""

from collections.abc import Callable
from time import monotonic

from retinue.domain.usage import GenerationStats, Usage

SAMPLE_SECONDS = 0.2


class Speedometer:
    """Counts characters over time; a few arithmetic operations per piece."""

    __slots__ = (
        "_called_at",
        "_chars",
        "_clock",
        "_fastest",
        "_first_at",
        "_last_at",
        "_sample_began",
        "_sample_chars",
        "_slowest",
    )

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._called_at: float | None = None
        self._first_at: float | None = None
        self._last_at = 0.0
        self._chars = 0
        self._sample_began = 0.0
        self._sample_chars = 0
        self._slowest: float | None = None
        self._fastest: float | None = None

    def call_started(self) -> None:
        """The first model call begins; later calls of the same run change nothing."""
        if self._called_at is None:
            self._called_at = self._clock()

    def count(self, piece: str) -> None:
        now = self._clock()
        self._last_at = now
        self._chars += len(piece)
        if self._first_at is None:
            self._first_at = self._sample_began = now
            return
        self._sample_chars += len(piece)
        elapsed = now - self._sample_began
        if elapsed >= SAMPLE_SECONDS:
            self._close_sample(elapsed)
            self._sample_began = now

    def read(self, usage: Usage | None, *, text_tokens: int | None = None) -> GenerationStats:
        """The rates in tokens per second; null where no text came or where no token count is known.

        Args:
            text_tokens: the text's share of the output, where not all of it became text.
        """
        if self._first_at is None:
            return GenerationStats()
        called_at = self._called_at if self._called_at is not None else self._first_at
        to_first = round((self._first_at - called_at) * 1000)
        tokens = _visible_tokens(usage) if text_tokens is None else text_tokens
        if tokens is None:
            return GenerationStats(time_to_first_token_ms=to_first)
        per_char = tokens / self._chars
        if self._slowest is None or self._fastest is None:
            rate = round(tokens / max(self._last_at - called_at, 0.001), 2)
            return _stats(rate, rate, rate, to_first)
        average = round(tokens / (self._last_at - self._first_at), 2)
        slowest = min(round(self._slowest * per_char, 2), average)
        fastest = max(round(self._fastest * per_char, 2), average)
        return _stats(slowest, average, fastest, to_first)

    def _close_sample(self, elapsed: float) -> None:
        rate = self._sample_chars / elapsed
        self._slowest = rate if self._slowest is None else min(self._slowest, rate)
        self._fastest = rate if self._fastest is None else max(self._fastest, rate)
        self._sample_chars = 0


def _visible_tokens(usage: Usage | None) -> int | None:
    if usage is None or usage.output_tokens is None:
        return None
    return max(usage.output_tokens - (usage.reasoning_tokens or 0), 0)


def _stats(slowest: float, average: float, fastest: float, to_first: int) -> GenerationStats:
    return GenerationStats(
        min_tokens_per_second=slowest,
        avg_tokens_per_second=average,
        max_tokens_per_second=fastest,
        time_to_first_token_ms=to_first,
    )
