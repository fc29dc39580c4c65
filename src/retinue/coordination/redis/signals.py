"""Signals to every process."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from retinue.coordination.base import Signals
from retinue.coordination.handlers import Handler, Handlers
from retinue.coordination.redis.connection import Address, Unreachable
from retinue.coordination.redis.health import Health
from retinue.coordination.redis.keys import signal_channel
from retinue.coordination.redis.outbox import Outbox
from retinue.coordination.redis.worker import Worker
from retinue.domain.ids import new_id
from retinue.domain.signals import Signal

SILENCE_SECONDS = 1.0
"""After which the server is asked whether it is still there."""


class Envelope(msgspec.Struct, frozen=True):
    sender: UUID
    signal: Signal


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


class RedisSignals(Signals):
    """Handlers of this process hear at once and need no server for it; the echo of it is left out."""

    def __init__(self, outbox: Outbox) -> None:
        self._handlers = Handlers()
        self._outbox = outbox
        self._me = new_id()

    def send(self, signal: Signal) -> None:
        self._handlers.call_soon(signal)
        self._outbox.add_signal(_encoder.encode(Envelope(self._me, signal)))

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        return self._handlers.add(handler)

    def hear(self, payload: bytes) -> None:
        """What came from the server."""
        try:
            envelope = _decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # not one of ours
        if envelope.sender != self._me:
            self._handlers.call_soon(envelope.signal)


class Subscriber(Worker):
    name = "subscriber"

    def __init__(self, address: Address, health: Health, hear: Callable[[bytes], None]) -> None:
        super().__init__(address, health)
        self._channel = signal_channel(address.database)
        self._hear = hear

    async def work(self) -> None:
        await self.link.send(("SUBSCRIBE", self._channel))
        is_asked = True
        while True:
            message = await self.link.receive(SILENCE_SECONDS)
            if message is not None:
                is_asked = False
                self.part.works()
                self._judge(message)
            elif is_asked:
                await self.link.aclose()
                raise Unreachable("silence")
            else:
                await self.link.send(("PING",))
                is_asked = True

    def _judge(self, message: Any) -> None:
        match message:
            case [b"message", _, bytes(payload)]:
                self._hear(payload)
            case _:
                pass  # what subscribing and asking are answered with
