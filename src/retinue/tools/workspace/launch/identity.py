"""Who a process of the workspace is: nobody with rights of their own."""

import contextlib
import ctypes
import os
import struct
import sys

from retinue.tools.workspace.launch import syscall_filter

NOBODY = 65_534
_SET_KEEPCAPS, _CAPBSET_DROP, _CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR = 8, 24, 47, 2, 4
_CAPABILITY_VERSION = 0x20080522
_DAC_OVERRIDE = 1
"""To use files of root's within reach."""


class CannotConfine(Exception):
    """The process must not go on."""


def give_up_privileges() -> None:
    """No way to other rights from here on. Raises: CannotConfine.

    Root becomes nobody, whom the kernel lets have only so many processes, and keeps the right to use root's files:
    which ones, its confinement says. Everybody else stays who they are.
    """
    try:
        if sys.platform.startswith("linux"):
            library = ctypes.CDLL(None, use_errno=True)
            _give_up(library, keeps_files=os.geteuid() == 0 and _become_nobody(library))
        syscall_filter.forbid_new_privileges()
    except OSError:
        raise CannotConfine from None


def is_nobody() -> bool:
    return os.getuid() == NOBODY


def _become_nobody(library: ctypes.CDLL) -> bool:
    """Whether that is possible; in a container there may be no such user."""
    for capability in set(range(64)) - {_DAC_OVERRIDE}:
        _prctl(library, _CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):
        os.setgroups([])
    _prctl(library, _SET_KEEPCAPS, 1)
    try:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    return True


def _give_up(library: ctypes.CDLL, *, keeps_files: bool) -> None:
    kept = 1 << _DAC_OVERRIDE if keeps_files else 0
    _prctl(library, _CAP_AMBIENT, _AMBIENT_CLEAR)
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
    wanted = ctypes.create_string_buffer(struct.pack("IIIIII", kept, kept, kept, 0, 0, 0))
    if library.capset(header, wanted) != 0:
        raise OSError("capabilities were not given up")
    if keeps_files:
        _prctl(library, _CAP_AMBIENT, _AMBIENT_RAISE, _DAC_OVERRIDE)


def _prctl(library: ctypes.CDLL, option: int, *arguments: int) -> None:
    library.prctl(ctypes.c_int(option), *(ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]))
