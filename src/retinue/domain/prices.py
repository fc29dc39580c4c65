"""What a tenant pays for models."""

import msgspec

from retinue.domain.budgets import SetBy


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a model in millionths of a US dollar for a million tokens."""

    provider: str
    model: str
    input_price: int
    cached_input_price: int | None = None
    """Of input that the provider had read before; null: as other input."""
    cache_write_price: int | None = None
    """Of input that the provider keeps for later; null: as other input."""
    output_price: int
    set_by: SetBy = SetBy.TENANT
