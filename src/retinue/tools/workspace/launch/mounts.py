"""A view of the file system of its own in which everything but a few directories is read-only.

Landlock does not watch over modes, owners, times and attributes of files; a read-only mount does.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_READ_ONLY = 0x1


def isolate(writable: Iterable[str]) -> bool:
    """Leave only these directories writable for this process. Whether the kernel allows that; if not, all is as it was.

    Directories that are gone, or have become links, are left read-only.

    Raises: OSError: it broke off in the middle; the process must not go on.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "fork"):
        return False
    places = [os.fsencode(path) for path in writable if os.path.isdir(path) and os.path.realpath(path) == path]
    # Tried out first: half of it, as some systems grant it to ordinary users, is worse than nothing.
    trial = os.fork()
    if trial == 0:
        try:
            _isolate(places)
        except BaseException:
            os._exit(1)
        os._exit(0)
    if os.waitpid(trial, 0)[1] != 0:
        return False
    _isolate(places)
    return True


def _isolate(places: list[bytes]) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    _checked(library.unshare(_NEW_MOUNTS | (0 if user == 0 else _NEW_USER)))
    if user != 0:
        _keep_ids(user, group)
    _checked(library.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE | _PRIVATE), None))
    for place in places:
        _checked(library.mount(place, place, None, ctypes.c_ulong(_BIND | _RECURSIVE), None))
    _set_attributes(library, b"/", on=_READ_ONLY, off=0)
    for place in places:
        _set_attributes(library, place, on=0, off=_READ_ONLY)


def _keep_ids(user: int, group: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _set_attributes(library: ctypes.CDLL, path: bytes, *, on: int, off: int) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", on, off, 0, 0), 32)
    _checked(
        library.syscall(
            ctypes.c_long(_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            path,
            ctypes.c_uint(_AT_RECURSIVE),
            attributes,
            ctypes.c_size_t(32),
        )
    )


def _checked(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
