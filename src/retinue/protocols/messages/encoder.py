"""The frames of one stream."""

from uuid import UUID

import msgspec

from retinue.domain.events import RecordedEvent, TextDelta
from retinue.protocols.base import Encode
from retinue.protocols.frames import name_of
from retinue.protocols.messages.frames import Token

_json = msgspec.json.Encoder().encode


class Encoder:
    """Most events of a stream are pieces of text, and most of them follow one of the same run: their frames differ in
    the place and the text, and everything else is written once.
    """

    __slots__ = ("_before_place", "_before_text", "_encode", "_run_id")

    def __init__(self, encode: Encode) -> None:
        """
        Args:
            encode: for all other events.
        """
        self._encode = encode
        self._run_id: UUID | None = None
        self._before_place = self._before_text = b""

    def __call__(self, recorded: RecordedEvent) -> bytes:
        event, run_id = recorded.event, recorded.run_id
        if type(event) is not TextDelta:
            return self._encode(recorded)
        if run_id is not self._run_id:
            self._prepare(run_id)
        attempt, seq, text = recorded.attempt, recorded.seq, _json(event.delta)
        return b"%b%d-%d%b%b}\n\n" % (self._before_place, attempt, seq, self._before_text, text)

    def _prepare(self, run_id: UUID) -> None:
        if run_id != self._run_id:
            token = Token(run_id=run_id, content="")
            head, _, _ = _json(token).rpartition(b'""}')
            self._before_place = b"id: %b:" % str(run_id).encode()
            self._before_text = b"\nevent: %b\ndata: %b" % (name_of(token).encode(), head)
        self._run_id = run_id
