"""A filter of system calls (seccomp): no sockets, no namespaces, no memory outside of the limits, nothing that
reaches other processes or goes around the rights on files.

A process in which it stands cannot take it off, nor can any that it starts. What is refused fails with EPERM.
"""

import ctypes
import os
import platform
import struct
import sys
from enum import Enum

from retinue.tools.workspace.launch import syscalls
from retinue.tools.workspace.launch.syscalls import CLONE, CLONE3, SOCKET, Only

_SET_NO_NEW_PRIVS, _SET_SECCOMP, _GET_SECCOMP = 38, 22, 21
_MODE_FILTER = 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_IF_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _UNKNOWN, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_INTERNET = (2, 10)
_NEW_NAMESPACES = 0x7E020000

_Line = tuple[str, int, str, int]
"""A name to jump to, an operation, the name it jumps to, a value."""


class Marks(Enum):
    """How a process may change modes, owners, times and attributes of files, over which Landlock does not watch."""

    FREELY = "freely"
    """Read-only mounts keep it from doing so outside."""
    BY_DESCRIPTOR = "by_descriptor"
    """Of files that it has open and that belong to it: for a user to whom no file outside belongs."""
    NEVER = "never"
    """Not even by a descriptor: a file that is open for reading may belong to this user."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_available() -> bool:
    """Whether this kernel filters calls, and this module knows its numbers."""
    if not sys.platform.startswith("linux") or platform.machine() not in _ARCHITECTURES or sys.maxsize < 2**32:
        return False
    # 0: filters are compiled in and none is set; 2: one is set already, by a container.
    return _prctl(_GET_SECCOMP) in (0, _MODE_FILTER)


def forbid_new_privileges() -> None:
    """No program that this process starts gets other rights by its file, as sudo does. Raises: OSError."""
    if sys.platform.startswith("linux") and _prctl(_SET_NO_NEW_PRIVS, 1) != 0:
        raise OSError("no_new_privs was refused")


def restrict(*, connects: bool, marks: Marks) -> None:
    """Set the filter, for good. Needs `forbid_new_privileges` first. `connects`: internet sockets are let pass.

    Raises: OSError.
    """
    code = _assemble(*_ARCHITECTURES[platform.machine()], _INTERNET if connects else (), marks)
    program = _Program(len(code) // 8, code)
    if _prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _refused(marks: Marks) -> list[tuple[int, int | None]]:
    calls = [*syscalls.ALWAYS.values()]
    if marks is not Marks.FREELY:
        calls += syscalls.MARKS.values()
    if marks is Marks.NEVER:
        calls += syscalls.MARKS_OF_OWNERS.values()
    return calls


def _bounded(marks: Marks) -> list[tuple[int, int, Only]]:
    times = {
        Marks.FREELY: [],
        Marks.BY_DESCRIPTOR: [syscalls.TIMES_BY_DESCRIPTOR],
        Marks.NEVER: [syscalls.TIMES_OF_NOW],
    }
    return [*syscalls.ONLY.values(), *times[marks]]


def _assemble(architecture: int, column: int, families: tuple[int, ...], marks: Marks) -> bytes:
    """The filter. A jump leads to the line of that name, if the comparison holds."""
    refused = sorted(number for both in _refused(marks) if (number := both[column]) is not None)
    rules = {both[column]: only for *both, only in _bounded(marks)}
    refuse, unknown, flags, family = "refuse", "unknown", "flags", "family"
    lines: list[_Line] = [
        ("", _LOAD, "", _ARCHITECTURE),
        ("", _JUMP_EQUAL, "number", architecture),
        ("", _RETURN, "", _KILL),
        ("number", _LOAD, "", _NUMBER),
        ("", _JUMP_AT_LEAST, refuse, _X32),
        *(("", _JUMP_EQUAL, refuse, number) for number in refused),
        *(("", _JUMP_EQUAL, f"{number}.0", number) for number in rules),
        # Its flags lie in memory, where a filter cannot read them. As if unknown, it makes libraries use `clone`.
        ("", _JUMP_EQUAL, unknown, CLONE3),
        ("", _JUMP_EQUAL, flags, CLONE[column]),
        ("", _JUMP_EQUAL, family, SOCKET[column]),
        ("", _RETURN, "", _ALLOW),
        *(line for number, only in rules.items() for line in _rule(number, only)),
        (flags, _LOAD, "", _FIRST_ARGUMENT),
        ("", _JUMP_IF_ANY, refuse, _NEW_NAMESPACES),
        ("", _RETURN, "", _ALLOW),
        (family, _LOAD, "", _FIRST_ARGUMENT),
        *(("", _JUMP_EQUAL, "permitted", number) for number in families),
        (refuse, _RETURN, "", _REFUSE),
        (unknown, _RETURN, "", _UNKNOWN),
        ("permitted", _RETURN, "", _ALLOW),
    ]
    places = {name: place for place, (name, *_) in enumerate(lines) if name}
    return b"".join(
        struct.pack("HBBI", code, places[target] - place - 1 if target else 0, 0, value)
        for place, (_, code, target, value) in enumerate(lines)
    )


def _rule(number: int, only: Only) -> list[_Line]:
    """Let a call pass with these arguments only."""
    lines: list[_Line] = []
    for place, (word, value) in enumerate(only):
        lines += [
            (f"{number}.{place}", _LOAD, "", word),
            ("", _JUMP_EQUAL, f"{number}.{place + 1}", value),
            ("", _RETURN, "", _REFUSE),
        ]
    return [*lines, (f"{number}.{len(only)}", _RETURN, "", _ALLOW)]


def _prctl(option: int, *arguments: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    return int(library.prctl(ctypes.c_int(option), *values))
