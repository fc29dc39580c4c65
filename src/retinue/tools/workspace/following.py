"""Following a path through its links, the way the kernel does, without going where it must not."""

import errno
import os

KERNEL = ("/proc", "/sys", "/dev")
"""What looks like files there is the state of the machine and of other processes."""
MAX_LINKS = 40
MAX_STEPS = 100_000

_NO_LINK = frozenset({errno.EINVAL, errno.ENOENT, errno.ENOTDIR})
"""What the kernel says of a name that is no link. Anything else means that it did not look."""


class CannotFollow(Exception):
    """The links lead in a circle or too far, or the kernel does not tell."""


class Follower:
    """Follows the paths of one call, with one measure of work for all of them: links multiply it.

    Looks at each name once. Touches the file system.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._steps = steps
        self._targets: dict[str, str | None] = {}

    def follow(self, path: str) -> str:
        """The absolute path without links that an absolute path leads to; what does not exist is taken as written.

        Stops at the kernel's own files: links there lead to what this very process has open.

        Raises: CannotFollow.
        """
        current, links = "/", 0
        waiting = path.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            self._step()
            if part in ("", "."):
                continue
            current = os.path.normpath(os.path.join(current, part))
            if current in KERNEL:
                return "/".join([current, *(name for name in waiting[::-1] if name not in ("", ".", ".."))])
            target = self._target(current) if part != ".." else None
            if target is None:
                continue
            links += 1
            if links > MAX_LINKS:
                raise CannotFollow
            current = "/" if target.startswith("/") else os.path.dirname(current)
            waiting += target.split("/")[::-1]
        return current

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise CannotFollow

    def _target(self, path: str) -> str | None:
        if path not in self._targets:
            try:
                self._targets[path] = os.readlink(path)
            except (OSError, ValueError) as error:
                if not isinstance(error, OSError) or error.errno not in _NO_LINK:
                    raise CannotFollow from None
                self._targets[path] = None
        return self._targets[path]
