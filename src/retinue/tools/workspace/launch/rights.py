"""What a process may use, and what it gives up for good before it does an employee's work."""

import contextlib
import math
import os
import resource
import signal
from typing import Any

from retinue.tools.workspace.launch import landlock, syscall_filter
from retinue.tools.workspace.launch.identity import CannotConfine
from retinue.tools.workspace.launch.walk import PathChanged, walk

_NICE = 10
THREADS = 4
"""For each process that is allowed. The kernel counts threads, the supervisor processes."""


def limit(limits: dict[str, Any]) -> None:
    """Set the resource limits of this process and of all that come from it."""
    cpu = math.ceil(limits["seconds"]) + 1
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": cpu,
        "RLIMIT_AS": limits["memory_bytes"],
        "RLIMIT_FSIZE": limits["file_bytes"],
        "RLIMIT_NOFILE": limits["open_files"],
    }
    if os.getuid() != 0:
        # The kernel counts all threads of the user, perhaps the server's among them, and exempts root.
        wanted["RLIMIT_NPROC"] = _threads_of_user() + limits["processes"] * THREADS
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            _, hard = resource.getrlimit(kind)
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (most, most))
    os.umask(0o077)


def plain_signals() -> None:
    """As a program expects them at its start; Python ignores some."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.set_wakeup_fd(-1)
    for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ", "SIGCHLD"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def stand_back() -> None:
    """The server and the supervisor go first; if the machine runs out of memory, this one does."""
    os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def confine(reach: dict[str, Any], *, marks_files: bool) -> None:
    """Keep this process to its reach. Raises: CannotConfine.

    `marks_files`: it may change modes, owners and attributes of files by their path, since read-only mounts keep it
    from doing so elsewhere.
    """
    rules = [
        (fd, rights)
        for name, rights in (("runs", landlock.RUN), ("reads", landlock.READ), ("writes", landlock.WRITE))
        for fd in _opened(reach.get(name, ()))
    ]
    try:
        landlock.restrict(rules, connects=reach.get("connects", False))
        syscall_filter.restrict(connects=reach.get("connects", False), marks_files=marks_files)
    except (OSError, KeyError):
        raise CannotConfine from None
    finally:
        for fd, _ in rules:
            os.close(fd)


def _opened(paths: list[str]) -> list[int]:
    fds = []
    for path in paths:
        # What is gone, or has become a link since, is simply not within reach.
        with contextlib.suppress(OSError, PathChanged):
            fds.append(walk(path))
    return fds


def _threads_of_user() -> int:
    count = 0
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                count += _threads(name)
    return count


def _threads(process: str) -> int:
    try:
        if os.stat(f"/proc/{process}").st_uid != os.getuid():
            return 0
        return max(os.stat(f"/proc/{process}/task").st_nlink - 2, 1)
    except OSError:
        return 0
