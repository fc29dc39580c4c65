"""Where a follower of a run is, and what it knows."""

from collections.abc import Awaitable, Sequence
from uuid import UUID

from retinue.coordination.base import Batch, Sink, Tail
from retinue.domain.errors import StreamBroken
from retinue.domain.events import TERMINAL_EVENTS, RecordedEvent, RunPaused
from retinue.domain.ids import Position
from retinue.runs.looks import Look

_ENDS = frozenset({*TERMINAL_EVENTS, RunPaused})


class Reader:
    """One follower's way through a run."""

    __slots__ = (
        "_sink",
        "conversation_id",
        "cursor",
        "ends_at_pause",
        "has_news",
        "is_done",
        "is_waiting",
        "leaves_queue",
        "run_id",
        "tenant_id",
    )

    def __init__(
        self,
        tenant_id: UUID,
        run_id: UUID,
        cursor: Position,
        sink: Sink | None = None,
        *,
        ends_at_pause: bool,
        leaves_queue: bool,
    ) -> None:
        self.tenant_id = tenant_id
        self.run_id = run_id
        self.cursor = cursor
        self._sink = sink
        self.conversation_id: UUID | None = None
        self.ends_at_pause = ends_at_pause
        self.leaves_queue = leaves_queue
        """It does not stay while the run is queued behind one that waits for a person."""
        self.is_done = False
        """It has read the end, or has left."""
        self.has_news = False
        """Something has happened since it was last looked at."""
        self.is_waiting = False
        """When last looked at, the run waited for a person."""

    def ended(self) -> bool:
        return self.is_done

    def next_of(self, tail: Tail) -> Awaitable[Batch]:
        """What comes next of a live run, after all that the sink has taken."""
        return tail.take(self.cursor) if self._sink is None else tail.pour(self.cursor, self._pass_on)

    def _pass_on(self, events: Sequence[RecordedEvent]) -> bool:
        """Ends and pauses have to be looked at first."""
        assert self._sink is not None
        for recorded in events:
            if type(recorded.event) in _ENDS:
                return False
        if not self._sink(events):
            return False
        self.cursor = events[-1].position
        return True

    def advance(self, events: Sequence[RecordedEvent]) -> None:
        self.cursor = events[-1].position
        self.is_done = events[-1].is_terminal

    def see(self, look: Look) -> Sequence[RecordedEvent]:
        """Raises: StreamBroken; who asked for more than the run came to has not read its end."""
        if look.is_over and look.last < self.cursor:
            raise StreamBroken
        self.conversation_id = look.conversation_id or self.conversation_id
        self.is_done = look.is_over or (look.is_held_up and self.leaves_queue)
        self.is_waiting, self.has_news = look.is_waiting, False
        return look.events
