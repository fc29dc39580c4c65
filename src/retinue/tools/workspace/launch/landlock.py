"""Landlock: the kernel keeps a process, and all that come from it, to the files that it was given.

Numbers from linux/landlock.h; the meaning of each is in the kernel's userspace-api/landlock.
"""

import ctypes
import os
import stat
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
WRITE = READ | WRITE_FILE | TRUNCATE | sum(1 << bit for bit in range(4, 14)) & ~(1 << 6 | 1 << 11)
"""All but making device files."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
SIGNALS_SINCE = 6
"""The version from which on it keeps signals from processes outside."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("fd", ctypes.c_int32))


def abi() -> int:
    """The kernel's version of Landlock; 0 if it has none."""
    try:
        return max(_call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)), 0)
    except (OSError, AttributeError):
        return 0


def restrict(rules: Iterable[tuple[int, int]], *, connects: bool) -> None:
    """Confine this process for good to what the rules say: pairs of an open descriptor and the rights beneath it.

    Raises: OSError: the kernel cannot.
    """
    version = abi()
    handled = _RIGHTS[min(version, 5)]
    ruleset = _Ruleset(
        files=handled,
        network=_TCP if version >= 4 and not connects else 0,
        scoped=_ABSTRACT_SOCKETS_AND_SIGNALS if version >= SIGNALS_SINCE else 0,
    )
    size = 8 if version < 4 else 16 if version < SIGNALS_SINCE else 24
    fd = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for beneath, rights in rules:
            allowed = rights & handled
            if not stat.S_ISDIR(os.fstat(beneath).st_mode):
                allowed &= _OF_FILES
            rule = _Beneath(rights=allowed, fd=beneath)
            _call(_ADD_RULE, ctypes.c_int(fd), ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
        _call(_RESTRICT_SELF, ctypes.c_int(fd), ctypes.c_uint32(0))
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    result = int(library.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
