"""Waiting for what servers do."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

from tests.support.server import RetinueServer

T = TypeVar("T")
PATIENCE = 60.0


def eventually(probe: Callable[[], T], *, within: float = PATIENCE) -> T:
    """What the probe finds, as soon as that is something.

    Raises:
        TimeoutError: it found nothing in time.
    """
    deadline = time.monotonic() + within
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
    return found


def workers_of(server: RetinueServer) -> list[psutil.Process]:
    """The processes that serve, in the order in which they were started."""
    return sorted(psutil.Process(server.process.pid).children(), key=lambda process: process.pid)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
