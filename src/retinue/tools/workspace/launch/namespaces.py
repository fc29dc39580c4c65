"""Namespaces: views of the machine that one process has, and all that come from it."""

import ctypes
import os
from collections.abc import Callable

NEW_MOUNTS, NEW_PROCESSES = 0x00020000, 0x20000000
_NEW_USERS = 0x10000000


def enter(kind: int) -> None:
    """Have new views of that kind; of processes, for the next child. Raises: OSError: the kernel does not allow it.

    Ordinary users may do so in a namespace of users only. They stay who they are in it, and sudo does not work there.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(kind) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    checked(library.unshare(kind | (0 if user == 0 else _NEW_USERS)))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def works(attempt: Callable[[], None]) -> bool:
    """Whether something succeeds, tried out by a process that ends with it.

    Half of it, as some systems grant it to ordinary users, would be worse than nothing.
    """
    trial = os.fork()
    if trial == 0:
        try:
            attempt()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(trial, 0)[1] == 0


def checked(result: int) -> None:
    """Raises: OSError: a function of C has failed."""
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
