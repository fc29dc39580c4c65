"""Who listens to signals in this process."""

import asyncio
from collections.abc import Callable

import structlog

from retinue.domain.signals import Signal

Handler = Callable[[Signal], None]

_log = structlog.get_logger(__name__)


class Handlers:
    """Calls every handler with every signal, soon and never from within the one who sends it."""

    def __init__(self) -> None:
        self._handlers: dict[object, Handler] = {}

    def call_soon(self, signal: Signal) -> None:
        """Needs a running event loop; without one nobody is called."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        loop.call_soon(self._call, signal)

    def add(self, handler: Handler) -> Callable[[], None]:
        """Returns what takes the handler out again; then it is not called any more, not even with what was sent."""
        key = object()
        self._handlers[key] = handler
        return lambda: self._remove(key)

    def clear(self) -> None:
        self._handlers.clear()

    def _remove(self, key: object) -> None:
        self._handlers.pop(key, None)

    def _call(self, signal: Signal) -> None:
        for key, handler in list(self._handlers.items()):
            if key not in self._handlers:
                continue  # a handler before it has taken it out
            try:
                handler(signal)
            except Exception:
                _log.exception("signal_handler_failed", signal=signal.kind.value)
