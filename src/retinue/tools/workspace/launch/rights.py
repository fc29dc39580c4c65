"""What a process may use, and what it gives up for good before it does an employee's work."""

import contextlib
import math
import os
import resource
import signal
from collections import Counter
from typing import Any

from retinue.tools.workspace.launch import landlock, syscall_filter
from retinue.tools.workspace.launch.identity import CannotConfine
from retinue.tools.workspace.launch.syscall_filter import Marks
from retinue.tools.workspace.launch.walk import PathChanged, walk

_NICE = 19
THREADS = 4
"""For each process that is allowed. The kernel counts threads, the supervisor processes."""


def limit(limits: dict[str, Any], threads: Counter[int]) -> None:
    """Set the resource limits of this process and of all that come from it. `threads`: see `threads_by_user`."""
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
        wanted["RLIMIT_NPROC"] = threads[os.getuid()] + limits["processes"] * THREADS
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


def confine(reach: dict[str, Any], *, marks: Marks) -> None:
    """Keep this process to its reach. Raises: CannotConfine."""
    rules = [
        (fd, rights)
        for name, rights in (("runs", landlock.RUN), ("reads", landlock.READ), ("writes", landlock.WRITE))
        for fd in _opened(reach.get(name, ()))
    ]
    try:
        landlock.restrict(rules, connects=reach.get("connects", False))
        syscall_filter.restrict(connects=reach.get("connects", False), marks=marks)
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


def threads_by_user() -> Counter[int]:
    """How many threads each user has, as far as /proc tells: to be called where it still shows all processes."""
    found: Counter[int] = Counter()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    found[os.stat(f"/proc/{name}").st_uid] += max(os.stat(f"/proc/{name}/task").st_nlink - 2, 1)
    return found
