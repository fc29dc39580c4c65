"""`events`: the canonical run events as they are."""

from datetime import datetime
from typing import Any, Union, get_args
from uuid import UUID

import msgspec

from retinue.domain import events as e
from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.protocols.base import Encode, Protocol
from retinue.protocols.frames import frame, name_of

_encode = msgspec.json.Encoder().encode


class Envelope(msgspec.Struct, frozen=True):
    """What the stream adds to every event."""

    id: str
    """`<run>:<attempt>-<seq>`: from here a client can resume."""
    run_id: UUID
    at: datetime


def _on_the_wire(event: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The event with its envelope as one type, for the API description."""
    return msgspec.defstruct(
        f"{event.__name__}Event",
        [(field.name, field.type) for field in msgspec.structs.fields(Envelope)],
        bases=(event,),
        frozen=True,
        kw_only=True,
        tag=event.__struct_config__.tag,
    )


EVENTS = tuple(_on_the_wire(event) for event in get_args(e.RunEvent))
AnyEvent: Any = Union[EVENTS]  # noqa: UP007
"""An event as JSON, in a stream or in a list."""


class StreamBrokenOff(msgspec.Struct, frozen=True, kw_only=True, tag="stream.broken"):
    """The stream ends here, before the run's end. No event of the run: it has no id, and nothing of it is stored."""

    run_id: UUID
    code: str
    title: str
    status: int
    detail: str
    retryable: bool


class EventsProtocol(Protocol):
    """One frame per run event. `data` is the event with `id`, `run_id` and `at` added."""

    name = "events"
    frames = (*EVENTS, StreamBrokenOff)

    def encoder(self) -> Encode:
        return encode

    def failure(self, run_id: UUID, error: StreamBroken) -> bytes:
        broken = StreamBrokenOff(
            run_id=run_id,
            code=error.problem_code,
            title=error.title,
            status=error.status,
            detail=error.detail,
            retryable=error.retryable,
        )
        return frame(event=name_of(broken), data=_encode(broken))


def canonical_json(recorded: RecordedEvent) -> bytes:
    """The event as one flat JSON object: its own fields first, then the envelope's."""
    body = _encode(recorded.event)
    envelope = _encode(Envelope(recorded.id, recorded.run_id, recorded.at))
    return body[:-1] + b"," + envelope[1:]


def encode(recorded: RecordedEvent) -> bytes:
    return frame(event=name_of(recorded.event), data=canonical_json(recorded), event_id=recorded.id)
