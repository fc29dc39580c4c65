"""The clocks of one model call, cheap enough for every token.

A timer per read would cost as much as the read. Here one alarm is set for as late as possible; reads and tokens only
move a number, and the alarm looks at it when it rings.
"""

import asyncio
from types import TracebackType

from retinue.alarms import Alarm
from retinue.domain.errors import ProviderTimeout
from retinue.domain.policy import Deadlines


class CallClock(Alarm):
    """Bounds the time that one task waits for its provider. Enter it around every wait, and only around waits:

    the time in which the consumer works on a piece is not the provider's fault. `turn_off` must be called at the end.

    Raises (from the `with` block):
        ProviderTimeout: the first token, the next one or the whole answer took too long.
    """

    __slots__ = (
        "_cancelling",
        "_deadlines",
        "_end",
        "_has_fired",
        "_is_waiting",
        "_left",
        "_loop",
        "_task",
        "_until",
    )

    def __init__(self, deadlines: Deadlines) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._deadlines = deadlines
        now = self._loop.time()
        self._end = now + deadlines.total
        self._left = deadlines.first_token
        self._until = now + self._left
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._is_waiting = False
        self._has_fired = False

    def progress(self) -> None:
        """A token came: the wait for the next one starts anew."""
        self._left = self._deadlines.between_tokens

    def go_on(self) -> None:
        """A token came, and the wait for the next one has begun."""
        self._until = min(self._loop.time() + self._deadlines.between_tokens, self._end)

    def grace(self, seconds: float) -> None:
        """The answer is complete: only so many seconds are left for what may follow."""
        self._left = min(self._left, seconds)

    def __enter__(self) -> None:
        now = self._loop.time()
        self._until = min(now + self._left, self._end)
        if self._until <= now:
            raise ProviderTimeout
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        self._is_waiting = True
        if (at := self.at) is None or at > self._until:
            self.set(self._until)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_waiting = False
        self._left = self._until - self._loop.time()
        if not self._has_fired:
            return
        self._has_fired = False
        if self._task is not None and self._task.uncancel() <= self._cancelling and kind is not None:
            raise ProviderTimeout from None

    def ring(self) -> None:
        if not self._is_waiting:
            return
        if self._loop.time() < self._until:
            self.set(self._until)
            return
        self._has_fired = True
        if self._task is not None:
            self._task.cancel()
