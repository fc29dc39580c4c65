"""What nobody caught takes the same way as every other line, so that it is redacted like them.

An event loop's own handler does so by itself: it logs. `faulthandler`, if somebody switches it on, shows names of files
and functions and no values.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

_log = logging.getLogger("retinue.crash")


def report_crashes() -> None:
    """Have uncaught exceptions of this process and its threads, those that cannot be raised, and warnings logged."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    logging.captureWarnings(True)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _log.critical("crashed", exc_info=(kind, error, trace))


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        _log.critical("thread_crashed", exc_info=given.exc_value)


def _unraisable(given: Any) -> None:
    if given.exc_value is not None:
        _log.error("error_not_raised", exc_info=given.exc_value)
