"""The first process of a namespace of processes: when it ends, the kernel ends all the others in it."""

import ctypes
import os
import signal
import sys
from functools import partial
from typing import NoReturn

from retinue.tools.workspace.launch import namespaces

_SET_PARENT_DEATH_SIGNAL = 1


def count_processes_anew(*, may_get_rights: bool) -> bool:
    """Let the next child of this process be the first of a namespace. Whether the kernel allows that.

    With it all that came from it end at once, however fast they multiply, and processes outside do not exist for them.

    `may_get_rights`: sudo is to work in it.
    """
    if not sys.platform.startswith("linux") or (may_get_rights and os.geteuid() != 0):
        return False
    attempt = partial(namespaces.enter, namespaces.NEW_PROCESSES)
    if not namespaces.works(attempt):
        return False
    attempt()
    return True


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends."""
    if sys.platform.startswith("linux"):
        values = map(ctypes.c_ulong, (signal.SIGKILL, 0, 0, 0))
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, *values)


def is_first() -> bool:
    return os.getpid() == 1


def look_after(worker: int) -> NoReturn:
    """Bury the dead until the worker has ended, then end the same way.

    The worker is not the first itself: the kernel keeps most signals from that one, and programs expect to get them.
    """
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    while True:
        ended, status = os.wait()
        if ended == worker:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
