"""A tenant's own prices, as they come in and go out."""

from typing import Annotated

import msgspec
from msgspec import Meta

from retinue.domain.prices import ModelPrice
from retinue.http.schemas import ModelName, RequestBody, Word

MAX_PRICES = 200

Price = Annotated[int, Meta(ge=0, le=10**12, examples=[2_500_000])]


class PricePut(RequestBody, frozen=True, kw_only=True):
    """In millionths of a US dollar for a million tokens: 2500000 are two and a half dollars."""

    provider: Word
    model: ModelName
    input_price: Price
    cached_input_price: Price | None = None
    """Of input that the provider had read before; null: as other input."""
    cache_write_price: Price | None = None
    """Of input that the provider keeps for later; null: as other input."""
    output_price: Price


class PricesPut(RequestBody, frozen=True, kw_only=True):
    """The whole list. Models that are not in it have the prices of the public lists, if they are known there."""

    prices: Annotated[tuple[PricePut, ...], Meta(max_length=MAX_PRICES)]


class TenantPrices(msgspec.Struct, frozen=True, kw_only=True):
    prices: tuple[ModelPrice, ...]
