"""What a call cost and how much a model can read, by the lists that ship with genai-prices. Nothing is ever fetched."""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import genai_prices
from genai_prices import data_snapshot

from retinue.domain.usage import Cost, Usage

_MICROS = Decimal(1_000_000)


def cost_of(
    usage: Usage, *, provider: str, model: str, base_url: str | None = None, at: datetime | None = None
) -> Cost | None:
    """The list price in US dollars, rounded half up to a millionth.

    Null, never zero, where it is not known: a model or a server without a list price, or a usage that lacks a count. A
    base URL decides which vendor's prices apply, so a server of one's own has none.

    Args:
        at: when the call was made, since prices change; now, if left out.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
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
    return Cost(micros=int((price.total_price * _MICROS).to_integral_value(ROUND_HALF_UP)))


@lru_cache(maxsize=4096)
def context_window(*, provider: str, model: str, base_url: str | None = None) -> int | None:
    """Tokens that the model can read and write together; null where the list does not know it."""
    snapshot = data_snapshot.get_snapshot()
    try:
        _, known = snapshot.find_provider_model(model, None, None if base_url else provider, base_url)
    except (LookupError, ValueError):
        return None
    return known.context_window
