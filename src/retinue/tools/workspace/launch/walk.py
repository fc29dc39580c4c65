"""Going to a file without following a single link."""

import errno
import os

_STEP = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_PLACE = os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


class PathChanged(Exception):
    """There is a link where there was none when the path was looked up."""


def walk(path: str) -> int:
    """A descriptor of what an absolute path without links names: for its place, not to read from (O_PATH).

    Raises:
        PathChanged: a part of it is a link by now.
        OSError: it is gone, or out of bounds.
    """
    parts = [part for part in path.split("/") if part]
    fd = os.open("/", _STEP)
    for place, part in enumerate(parts):
        try:
            fd, parent = _step(fd, part, is_last=place == len(parts) - 1), fd
        except BaseException:
            os.close(fd)
            raise
        os.close(parent)
    return fd


def _step(parent: int, name: str, *, is_last: bool) -> int:
    try:
        fd = os.open(name, _PLACE if is_last else _STEP, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise PathChanged from None
        raise
    if is_last and is_link(fd):
        os.close(fd)
        raise PathChanged
    return fd


def is_link(fd: int) -> bool:
    return (os.fstat(fd).st_mode & 0o170000) == 0o120000


def reopen(path: str, flags: int) -> int:
    """Like `walk`, but open for use. Raises: PathChanged, OSError."""
    directory, name = os.path.split(path)
    if not name:
        return os.open(path, flags | os.O_CLOEXEC)
    parent = walk(directory)
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PathChanged from None
        raise
    finally:
        os.close(parent)
