"""Keeping what this process holds from the other processes of its user."""

import ctypes
import resource
import sys

_SET_DUMPABLE = 4


def keep_private() -> None:
    """Close this process's memory and environment to everybody but root, and write no core dump of them.

    There are keys and passwords in them. Debuggers and profilers, such as py-spy, need root's rights from here on.
    Programs that this process starts get nothing of it but the limit on core dumps.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))
