"""A view of the file system of its own in which everything but a few directories is read-only.

Landlock does not watch over modes, owners, times and attributes of files; a read-only mount does.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from retinue.tools.workspace.launch import namespaces
from retinue.tools.workspace.launch.namespaces import checked

_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_HARMLESS = 0x2 | 0x4 | 0x8
"""No programs with other rights, no devices, no programs at all."""
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_READ_ONLY = 0x1


class View(NamedTuple):
    """What a process sees of the files."""

    is_isolated: bool = False
    """Only what it may write is writable."""
    has_own_processes: bool = False
    """Its /proc shows the processes of its namespace and no others."""


def isolate(writable: Iterable[str], *, is_alone: bool) -> View:
    """Leave only these directories writable for this process, and show a process that is alone nothing of others.

    As far as the kernel allows that. Directories that are gone, or have become links, are left read-only.

    Raises: OSError: it broke off in the middle; the process must not go on.
    """
    if not sys.platform.startswith("linux"):
        return View()
    places = [os.fsencode(path) for path in writable if os.path.isdir(path) and os.path.realpath(path) == path]
    for has_own_processes in (True, False) if is_alone else (False,):
        attempt = partial(_isolate, places, has_own_processes=has_own_processes)
        if namespaces.works(attempt):
            attempt()
            return View(is_isolated=True, has_own_processes=has_own_processes)
    return View()


def _isolate(places: list[bytes], *, has_own_processes: bool) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    namespaces.enter(namespaces.NEW_MOUNTS)
    checked(library.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE | _PRIVATE), None))
    if has_own_processes:
        # Refused where something lies over a part of /proc, as in most containers.
        checked(library.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(_HARMLESS), None))
    for place in places:
        checked(library.mount(place, place, None, ctypes.c_ulong(_BIND | _RECURSIVE), None))
    _set_attributes(library, b"/", on=_READ_ONLY, off=0)
    for place in places:
        _set_attributes(library, place, on=0, off=_READ_ONLY)


def _set_attributes(library: ctypes.CDLL, path: bytes, *, on: int, off: int) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", on, off, 0, 0), 32)
    checked(
        library.syscall(
            ctypes.c_long(_MOUNT_SETATTR),
            ctypes.c_int(_AT_FDCWD),
            path,
            ctypes.c_uint(_AT_RECURSIVE),
            attributes,
            ctypes.c_size_t(32),
        )
    )
