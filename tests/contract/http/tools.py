"""A tool that employees can be given."""

from typing import Annotated, Any

import msgspec

from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Invocation, Tool


class LookupArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    number: Annotated[str, msgspec.Meta(description="The order's number.")]


class Lookup(Tool[LookupArguments]):
    name = "lookup"
    description = "Looks an order up."
    version = "3"
    arguments = LookupArguments
    effect = Effect.READ
    risk = Risk.LOW
    touches = "orders"

    async def run(self, arguments: LookupArguments, invocation: Invocation) -> Any:
        raise NotImplementedError
