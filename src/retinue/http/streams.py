"""What the routes that stream runs have in common."""

from typing import Annotated
from uuid import UUID

from litestar.params import HeaderParameter, QueryParameter

from retinue.domain.errors import InvalidRequest
from retinue.domain.ids import Position, parse_event_id
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol

FRAMES = (*MessagesProtocol.frames, *EventsProtocol.frames)

_EVENT_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]{1,5}-[0-9]{1,10}"
EVENT_ID = {"pattern": f"^(?:{_EVENT_ID})?$"}
"""How a header tells it. Empty, it tells nothing."""

ProtocolName = Annotated[
    str,
    QueryParameter(
        description="The wire protocol.", schema_extra={"enum": [MessagesProtocol.name, EventsProtocol.name]}
    ),
]
After = Annotated[
    str | None,
    QueryParameter(
        description="The id of the last event that a client has; what comes after it is sent.",
        schema_extra={"pattern": f"^{_EVENT_ID}$"},
    ),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="The same as `after`, and stronger: a browser's EventSource sends it when it comes back, with the "
        "address that it began with.",
        schema_extra=EVENT_ID,
    ),
]

PLACES = {"invalid_event_id": InvalidRequest, "unknown_event_id": InvalidRequest}
"""Problems with the id of an event."""


def place_of(last_event_id: str | None, after: str | None) -> tuple[UUID, Position] | None:
    """The event to go on after; None for the beginning.

    Raises:
        InvalidRequest: code `invalid_event_id`.
    """
    given = last_event_id or after
    return None if given is None else parse_event_id(given)
