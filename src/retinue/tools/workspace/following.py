"""Following a path through its links, the way the kernel does, without going where it must not."""

import os

KERNEL = ("/proc", "/sys", "/dev")
"""What looks like files there is the state of the machine and of other processes."""
MAX_LINKS = 40


class TooManyLinks(Exception):
    """The links lead in a circle, or too far."""


def follow(path: str) -> str:
    """The absolute path without links that an absolute path leads to; what does not exist is taken as it is written.

    Stops at the kernel's own files: links there lead to what this very process has open. Touches the file system.

    Raises: TooManyLinks.
    """
    current, links = "/", 0
    waiting = path.split("/")[::-1]
    while waiting:
        part = waiting.pop()
        current = os.path.normpath(os.path.join(current, part))
        if current in KERNEL:
            return "/".join([current, *(name for name in waiting[::-1] if name not in ("", ".", ".."))])
        target = _target(current) if part not in ("", ".", "..") else None
        if target is None:
            continue
        links += 1
        if links > MAX_LINKS:
            raise TooManyLinks
        current = "/" if target.startswith("/") else os.path.dirname(current)
        waiting += target.split("/")[::-1]
    return current


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None
