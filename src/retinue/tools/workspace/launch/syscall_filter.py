"""A filter of system calls (seccomp): no sockets, no namespaces, no memory outside of the limits, nothing that goes
around the rights on files.

A process in which it stands cannot take it off, nor can any that it starts. What is refused fails with EPERM.
"""

import ctypes
import os
import platform
import struct
import sys

_SET_NO_NEW_PRIVS, _SET_SECCOMP, _GET_SECCOMP = 38, 22, 21
_MODE_FILTER = 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_IF_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _UNKNOWN, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_ALWAYS: dict[str, tuple[int, int | None]] = {
    # name: numbers on x86_64 and aarch64
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "delete_module": (176, 106),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "kcmp": (312, 272),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_MARKS: dict[str, tuple[int, int | None]] = {
    # By path. By a descriptor they need an open file, which the rights on files govern.
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "removexattrat": (466, 466),
}
_SOCKET = (41, 198)
_INTERNET = (2, 10)
_CLONE = (56, 220)
_CLONE3 = 435
"""Its flags lie in memory, where a filter cannot read them. As if unknown, it makes libraries use `clone`."""
_NEW_NAMESPACES = 0x7E020000


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


def restrict(*, connects: bool, marks_files: bool) -> None:
    """Set the filter, for good. Needs `forbid_new_privileges` first.

    `connects`: internet sockets are let pass. `marks_files`: changing modes, owners and attributes by path is.

    Raises: OSError.
    """
    architecture, column = _ARCHITECTURES[platform.machine()]
    refused = {**_ALWAYS, **({} if marks_files else _MARKS)}
    numbers = sorted(number for number in (both[column] for both in refused.values()) if number is not None)
    code = _assemble(architecture, numbers, _CLONE[column], _SOCKET[column], _INTERNET if connects else ())
    program = _Program(len(code) // 8, code)
    if _prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _assemble(architecture: int, refused: list[int], clone: int, socket: int, families: tuple[int, ...]) -> bytes:
    """The filter. A jump names the line it leads to, if the comparison holds."""
    allow, refuse, unknown, flags, family = "allow", "refuse", "unknown", "flags", "family"
    lines: list[tuple[str, int, str, int]] = [
        ("", _LOAD, "", _ARCHITECTURE),
        ("", _JUMP_EQUAL, "number", architecture),
        ("", _RETURN, "", _KILL),
        ("number", _LOAD, "", _NUMBER),
        ("", _JUMP_AT_LEAST, refuse, _X32),
        *(("", _JUMP_EQUAL, refuse, number) for number in refused),
        ("", _JUMP_EQUAL, unknown, _CLONE3),
        ("", _JUMP_EQUAL, flags, clone),
        ("", _JUMP_EQUAL, family, socket),
        (allow, _RETURN, "", _ALLOW),
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


def _prctl(option: int, *arguments: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    return int(library.prctl(ctypes.c_int(option), *values))
