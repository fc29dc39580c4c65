"""A tool that really does something elsewhere; see `tests.support.fork_template`."""

import os
from typing import Annotated, Any

import msgspec

from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Invocation, Tool
from tests.support import http1

PAY = "send_payment"


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: Annotated[str, msgspec.Meta(description="Who gets it.")]
    amount: Annotated[int, msgspec.Meta(description="How much.", ge=1)]


class SendPayment(Tool[Payment]):
    """A write that tells the receiver."""

    name = PAY
    description = "Sends money."
    arguments = Payment
    effect = Effect.WRITE
    risk = Risk.MEDIUM

    def __init__(self, address: str) -> None:
        self._address = address

    async def run(self, arguments: Payment, invocation: Invocation) -> Any:
        body = msgspec.json.encode(arguments)
        headers = {"idempotency-key": invocation.idempotency_key}
        async with await http1.request(self._address, "POST", "/payments", body=body, headers=headers) as response:
            await response.read()
        return {"status": "sent"}


def tools() -> list[Tool[Any]]:
    return [SendPayment(os.environ["TESTS_RECEIVER"])]
