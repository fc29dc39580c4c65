"""Ranges of run events as JSON `[[milliseconds since 1970, event], …]`, as they are stored and as they travel."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec

from retinue.domain.encoding import encode
from retinue.domain.errors import StorageFailed
from retinue.domain.events import RecordedEvent, RunEvent

_decoder = msgspec.json.Decoder(list[tuple[int, RunEvent]])


def pack(events: Sequence[RecordedEvent]) -> bytes:
    """A contiguous range of one attempt. Run, attempt and first sequence number are kept beside it."""
    return encode([(event.at_ms, event.event) for event in events])


def unpack(payload: bytes, run_id: UUID, attempt: int, first_seq: int) -> Iterator[RecordedEvent]:
    """The range again.

    Raises:
        StorageFailed: the payload is no such range.
    """
    try:
        pairs = _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise StorageFailed("The run's stored events cannot be read.") from error
    for seq, (at, event) in enumerate(pairs, first_seq):
        yield RecordedEvent(run_id, attempt, seq, at, event)
