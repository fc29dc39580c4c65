"""What a call costs and how much a model can read: the tenant's own prices, else the lists that ship with genai-prices.
Nothing is ever fetched.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache

import genai_prices
import msgspec
from genai_prices import data_snapshot

from retinue.domain.budgets import Quote
from retinue.domain.prices import ModelPrice
from retinue.domain.usage import Cost, Usage

FREE = frozenset({"scripted"})
"""Providers that cost nothing."""
INPUT_MARGIN = Fraction(4, 3)
"""Estimates of text are right to about a third; a bound must not be too low."""
MAX_MICROS = 10**12
"""No call costs more than this, a million dollars, whatever its provider reports: what a tenant has spent has to fit
into a database's integer, or its calls could not be booked any more."""
_MILLION = 1_000_000
_MICROS = Decimal(_MILLION)


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """How calls of one model at one address are priced.

    Costs are null, never zero, where they are not known: a model or a server without a list price, or a usage that
    lacks a count. A base URL decides which vendor's prices apply, so a server of one's own has none.
    """

    provider: str
    model: str
    base_url: str | None = None
    own: ModelPrice | None = None
    """What the tenant says that it pays; comes before every list."""

    @classmethod
    def of(cls, prices: Iterable[ModelPrice], *, provider: str, model: str, base_url: str | None = None) -> "Pricing":
        """The pricing of a model under a tenant's own prices."""
        own = (price for price in prices if (price.provider, price.model) == (provider, model))
        return cls(provider=provider, model=model, base_url=base_url, own=next(own, None))

    @property
    def is_free(self) -> bool:
        """Whether no call can cost anything."""
        return _is_free(self, datetime.now(UTC).date())

    def cost(self, usage: Usage, *, at: datetime | None = None) -> Cost | None:
        """In US dollars, rounded half up to a millionth.

        Args:
            at: when the call was made, since list prices change; now, if left out.
        """
        micros = self.micros(usage, at)
        return None if micros is None else Cost(micros=min(int(micros.to_integral_value(ROUND_HALF_UP)), MAX_MICROS))

    def most(self, input_tokens: int, output_tokens: int) -> int | None:
        """The most that a call of so many tokens can cost, in millionths: a part of its input may be kept or found in
        the provider's cache, and to keep it can cost more than to read it."""
        return _most(self, input_tokens, output_tokens, datetime.now(UTC).date())

    def quote(self, input_tokens: int, output_tokens: int) -> Quote | None:
        """The bounds for a call whose input was estimated; null where the price is not known."""
        bound = input_bound(input_tokens)
        reading, most = self.most(bound, 0), self.most(bound, output_tokens)
        if reading is None or most is None:
            return None
        return Quote(min(reading, MAX_MICROS), min(most, MAX_MICROS))

    def output_within(self, micros: int, input_tokens: int) -> int | None:
        """Output tokens that can be had for so much, beside an input of that length; null: any number."""
        with_output = self.most(input_tokens, _MILLION)
        without = self.most(input_tokens, 0)
        if with_output is None or without is None or with_output == without:
            return None
        return max(micros * _MILLION // (with_output - without), 0)

    def micros(self, usage: Usage, at: datetime | None) -> Decimal | None:
        """The cost before it is rounded; null where it is not known."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        if self.own is not None:
            return _own_micros(self.own, usage)
        if self.provider in FREE:
            return Decimal(0)
        return _list_micros(usage, self.provider, self.model, self.base_url, at)


def input_bound(estimated: int) -> int:
    """Tokens that an input has at most, if so many were estimated."""
    return -(-estimated * INPUT_MARGIN.numerator // INPUT_MARGIN.denominator)  # rounded up


@lru_cache(maxsize=4096)
def _is_free(pricing: Pricing, _day: date) -> bool:
    """Asked before every call, and slow where a list has to be looked at. Lists change from day to day."""
    return pricing.most(_MILLION, _MILLION) == 0


@lru_cache(maxsize=1024)
def _most(pricing: Pricing, input_tokens: int, output_tokens: int, _day: date) -> int | None:
    """Asked several times for one call."""
    plain = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    usages = (
        plain,
        msgspec.structs.replace(plain, cached_input_tokens=input_tokens),
        msgspec.structs.replace(plain, cache_write_tokens=input_tokens),
    )
    costs = [pricing.micros(usage, None) for usage in usages]
    known = [cost for cost in costs if cost is not None]
    return int(max(known).to_integral_value(ROUND_CEILING)) if known else None


def _own_micros(price: ModelPrice, usage: Usage) -> Decimal | None:
    cached, kept = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    plain = (usage.input_tokens or 0) - cached - kept
    if plain < 0:
        return None
    cached_price = price.input_price if price.cached_input_price is None else price.cached_input_price
    kept_price = price.input_price if price.cache_write_price is None else price.cache_write_price
    total = plain * price.input_price + cached * cached_price + kept * kept_price
    return Decimal(total + (usage.output_tokens or 0) * price.output_price) / _MILLION


def _list_micros(usage: Usage, provider: str, model: str, base_url: str | None, at: datetime | None) -> Decimal | None:
    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        if base_url is not None:
            price = genai_prices.calc_price(counts, model, provider_api_url=base_url, genai_request_timestamp=at)
        else:
            price = genai_prices.calc_price(counts, model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):
        return None
    return price.total_price * _MICROS


def read_lists() -> None:
    """Have the public lists at hand. They are read when somebody asks for them, in a tenth of a second that everybody
    else would wait.
    """
    data_snapshot.get_snapshot()


@lru_cache(maxsize=4096)
def context_window(*, provider: str, model: str, base_url: str | None = None) -> int | None:
    """Tokens that the model can read and write together; null where the list does not know it."""
    snapshot = data_snapshot.get_snapshot()
    try:
        _, known = snapshot.find_provider_model(model, None, None if base_url else provider, base_url)
    except (LookupError, ValueError):
        return None
    return known.context_window
