"""Server-sent event frames, byte by byte (WHATWG HTML, section 9.2).

LF line ends and one `data:` line, because some clients split on LF LF only. JSON never contains a raw line end.
"""

import msgspec


def frame(*, event: str, data: bytes, event_id: str | None = None) -> bytes:
    """`id:`, `event:` and `data:`, in this order, closed by a blank line.

    Without `event_id` the frame has no `id:` line, and a client's last event id stays what it was.
    """
    if event_id is None:
        return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), event.encode(), data)


def name_of(shown: msgspec.Struct) -> str:
    """The event name of a frame: the tag that its JSON carries as `type`."""
    tag = shown.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
