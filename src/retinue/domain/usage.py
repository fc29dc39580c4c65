"""What an answer consumed: tokens, money, time."""

from enum import StrEnum

import msgspec


class Provenance(StrEnum):
    """Where a token count comes from. Null is not zero: an unknown count stays null."""

    REPORTED = "reported"
    ESTIMATED = "estimated"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one or more model calls.

    `input_tokens` includes cached and cache-write tokens; `output_tokens` includes reasoning tokens.
    """

    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    provenance: Provenance = Provenance.REPORTED


def add_usage(first: Usage, second: Usage) -> Usage:
    """The sum, field by field. A field is null only if it is null on both sides; an estimate taints the sum."""
    estimated = Provenance.ESTIMATED in {first.provenance, second.provenance}
    return Usage(
        input_tokens=_sum(first.input_tokens, second.input_tokens),
        cached_input_tokens=_sum(first.cached_input_tokens, second.cached_input_tokens),
        cache_write_tokens=_sum(first.cache_write_tokens, second.cache_write_tokens),
        output_tokens=_sum(first.output_tokens, second.output_tokens),
        reasoning_tokens=_sum(first.reasoning_tokens, second.reasoning_tokens),
        provenance=Provenance.ESTIMATED if estimated else Provenance.REPORTED,
    )


def _sum(first: int | None, second: int | None) -> int | None:
    if first is None:
        return second
    return first if second is None else first + second


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Money in integer micro-units: 1,000,000 are one unit of `currency`."""

    micros: int
    currency: str = "USD"


class GenerationStats(msgspec.Struct, frozen=True, kw_only=True):
    """How fast the text came. Rates are null where the answer was too short to measure; see `runs.stats`."""

    min_tokens_per_second: float | None = None
    avg_tokens_per_second: float | None = None
    max_tokens_per_second: float | None = None
    time_to_first_token_ms: int | None = None
