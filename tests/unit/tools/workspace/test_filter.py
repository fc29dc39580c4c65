"""What the filter of system calls says on every architecture it knows, run by hand."""

import struct

import pytest

from retinue.tools.workspace.launch import syscall_filter, syscalls
from retinue.tools.workspace.launch.syscall_filter import Marks

ARCHITECTURES = syscall_filter._ARCHITECTURES
PASSED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


class Filter:
    def __init__(self, architecture: str, marks: Marks = Marks.FREELY, *, connects: bool = False) -> None:
        self.architecture, self.column = ARCHITECTURES[architecture]
        families = syscall_filter._INTERNET if connects else ()
        self._code = syscall_filter._assemble(self.architecture, self.column, families, marks)

    def says(self, call: int, *arguments: int, architecture: int | None = None) -> int:
        """The answer to a call, as the kernel would find it."""
        data = struct.pack("<IIQ", call, architecture or self.architecture, 0)
        data += struct.pack("<6Q", *(*arguments, *[0] * 6)[:6])
        place = accumulator = 0
        while True:
            code, yes, no, value = struct.unpack_from("HBBI", self._code, 8 * place)
            place += 1
            match code:
                case 0x20:
                    (accumulator,) = struct.unpack_from("<I", data, value)
                case 0x06:
                    return int(value)
                case _:
                    holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
                    place += yes if holds[code] else no

    def of(self, both: tuple[int | None, ...], *arguments: int) -> int:
        call = both[self.column]
        assert call is not None
        return self.says(call, *arguments)


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_reaches_others_is_refused(architecture: str) -> None:
    for marks in Marks:
        one = Filter(architecture, marks)
        calls = {name: both for name, both in syscalls.ALWAYS.items() if both[one.column] is not None}
        assert {name for name, both in calls.items() if one.of(both) != REFUSED} == set()


def test_a_process_may_limit_and_order_only_itself(architecture: str) -> None:
    one = Filter(architecture)
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        assert one.of(syscalls.ONLY[name][:2], 0, 7, 7) == PASSED, name
        assert one.of(syscalls.ONLY[name][:2], 4711, 7, 7) == REFUSED, name
        # The kernel takes the lower half for the number of the process.
        assert one.of(syscalls.ONLY[name][:2], 4711 | 1 << 32) == REFUSED, name
    for name, itself in (("setpriority", 0), ("ioprio_set", 1)):
        both = syscalls.ONLY[name][:2]
        assert [one.of(both, which, 0, 7) == PASSED for which in range(4)] == [which == itself for which in range(4)]
        assert one.of(both, itself, 4711, 7) == REFUSED


def test_times(architecture: str) -> None:
    both, here, path, times = syscalls.TIMES_OF_NOW[:2], 2**32 - 100, 1 << 32, 1 << 33
    expected = {
        Marks.FREELY: [PASSED] * 4,
        Marks.BY_DESCRIPTOR: [PASSED, PASSED, REFUSED, REFUSED],
        Marks.NEVER: [PASSED, REFUSED, REFUSED, REFUSED],
    }
    for marks in Marks:
        one = Filter(architecture, marks)
        said = [one.of(both, 3, 0, 0), one.of(both, 3, 0, times), one.of(both, here, path, 0)]
        assert [*said, one.of(both, here, path, times)] == expected[marks], marks


def test_marks(architecture: str) -> None:
    for marks, by_path, by_descriptor in (
        (Marks.FREELY, PASSED, PASSED),
        (Marks.BY_DESCRIPTOR, REFUSED, PASSED),
        (Marks.NEVER, REFUSED, REFUSED),
    ):
        one = Filter(architecture, marks)
        assert one.of(syscalls.MARKS["fchmodat"]) == by_path
        assert one.of(syscalls.MARKS_OF_OWNERS["fchmod"]) == by_descriptor


def test_sockets_and_namespaces(architecture: str) -> None:
    one, connecting = Filter(architecture), Filter(architecture, connects=True)
    for family in range(45):
        assert one.of(syscalls.SOCKET, family) == REFUSED
        assert connecting.of(syscalls.SOCKET, family) == (PASSED if family in (2, 10) else REFUSED)
    assert one.of(syscalls.CLONE, 0x00010F00) == PASSED, "a thread"
    assert one.of(syscalls.CLONE, 0x10000011) == REFUSED, "a process in a namespace of users"
    assert one.says(syscalls.CLONE3) == UNKNOWN


def test_other_architectures(architecture: str) -> None:
    one = Filter(architecture)
    assert one.says(1, architecture=0x40000003) == KILLED
    assert one.says(1 | 0x40000000) == REFUSED
