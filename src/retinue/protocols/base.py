"""The contract of a wire protocol."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar
from uuid import UUID

import msgspec

from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent

Encode = Callable[[RecordedEvent], bytes]


class Protocol(ABC):
    """Turns run events into bytes of a stream.

    Guarantees of an encoder: it does no I/O and reads no clock, so that the same events give the same bytes on every
    connection and replica; it returns whole frames, or nothing for an event that its protocol does not show; the frame
    of a terminal event is the last one.
    """

    name: ClassVar[str]
    """The word that clients write as `?protocol=`."""
    frames: ClassVar[tuple[type[msgspec.Struct], ...]]
    """Every object that can stand in a `data:` line; the API description is made from these."""
    headers: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def encoder(self) -> Encode:
        """An encoder for one stream. Encoders may keep state; streams never share one.

        A stream of a conversation tells many runs, one after the other, through one encoder.
        """

    def failure(self, run_id: UUID, error: StreamBroken) -> bytes:  # noqa: ARG002
        """The last words of a stream that breaks off before the run's end; empty if the protocol has none.

        They have no id: the client resumes after the last event that it got.
        """
        return b""
