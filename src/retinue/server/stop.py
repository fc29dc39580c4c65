"""Being told to stop."""

import asyncio
import os
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FORCED_EXIT = 130


class Stop:
    """Whether this process was told to stop, and how urgently. Belongs to the running event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._is_urgent = False

    def is_asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """An orderly stop: answers that are running get their time."""
        self._asked.set()

    def hurry(self) -> None:
        """An orderly stop without any grace: everything is handed over as it is."""
        self._is_urgent = True
        self._asked.set()

    def force(self) -> None:
        """End here and now. Does not return."""
        os._exit(FORCED_EXIT)

    async def wait(self) -> None:
        await self._asked.wait()

    def grace(self, seconds: float) -> float:
        """How much of the usual grace period is left to answers that are running."""
        return 0.0 if self._is_urgent else seconds

    def catch_signals(self, on_second: Callable[[], None] | None = None) -> None:
        """Have a first SIGTERM or SIGINT ask to stop, and call `on_second` with each further one."""

        def on_signal() -> None:
            if self.is_asked() and on_second is not None:
                on_second()
            self.ask()

        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, on_signal)
