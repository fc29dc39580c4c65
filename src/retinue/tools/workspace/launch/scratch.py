"""A directory for the temporary files of one command."""

import contextlib
import fcntl
import os
import re
import stat
import time

_PARENT = os.path.realpath("/var/tmp" if not os.path.isdir("/tmp") else "/tmp")  # noqa: S108
_PREFIX = "retinue-"
_OURS = re.compile(_PREFIX + "[0-9a-f]{32}")
"""Others may call theirs something like it."""
_LOCKED_AFTER = 60.0
"""Seconds in which its maker has surely locked it."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """A new directory of this user's alone. This process holds a lock on it for as long as it lives.

    Raises: OSError.
    """

    def __init__(self) -> None:
        self.path = os.path.join(_PARENT, f"{_PREFIX}{os.urandom(16).hex()}")
        os.mkdir(self.path, 0o700)
        # The lock is let go when nobody has this descriptor any more; the child closes its own.
        self._fd = os.open(self.path, _DIRECTORY)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with all that is in it, as far as that can be. No process may use it any more."""
        _remove(self.path, self._fd)
        os.close(self._fd)


def sweep() -> None:
    """Remove the directories of this user whose process was killed before it could do so."""
    with contextlib.suppress(OSError):
        for name in os.listdir(_PARENT):
            if _OURS.fullmatch(name):
                with contextlib.suppress(OSError):
                    _sweep(os.path.join(_PARENT, name))


def _sweep(path: str) -> None:
    fd = os.open(path, _DIRECTORY)
    try:
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and time.time() - found.st_ctime > _LOCKED_AFTER:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path, fd)
    finally:
        os.close(fd)


def _remove(path: str, fd: int) -> None:
    _empty(fd)
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _empty(top: int) -> None:
    """Remove all that is in a directory.

    What lies in a directory in it is removed or brought up to it, so no depth is too great. No link is followed.
    """
    waiting = _names(top)
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            if not _is_directory(name, top):
                os.unlink(name, dir_fd=top)
                continue
            _open_up(name, top)
            inner = os.open(name, _DIRECTORY, dir_fd=top)
            try:
                waiting += _bring_up(inner, top)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _bring_up(inner: int, top: int) -> list[str]:
    """Empty a directory; returns the names that the directories in it have got."""
    moved = []
    for name in _names(inner):
        with contextlib.suppress(OSError):
            if not _is_directory(name, inner):
                os.unlink(name, dir_fd=inner)
                continue
            _open_up(name, inner)
            new = os.urandom(16).hex()
            os.rename(name, new, src_dir_fd=inner, dst_dir_fd=top)
            moved.append(new)
    return moved


def _names(fd: int) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(fd)
    return []


def _is_directory(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _open_up(name: str, parent: int) -> None:
    """Let this user do with a directory what it likes."""
    fd = os.open(name, _DIRECTORY | getattr(os, "O_PATH", 0), dir_fd=parent)
    with contextlib.suppress(OSError):
        # By way of the descriptor, since a link may take its place. `fchmod` does not take one of this kind.
        os.chmod(f"/proc/self/fd/{fd}", 0o700)
    os.close(fd)
