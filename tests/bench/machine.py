"""What a process costs, and on which core it runs."""

import os
from collections.abc import Sequence
from pathlib import Path
from time import clock_gettime

SERVER, REST = 0, 1
"""Cores: the server has one for itself, everything else has the other one."""


def pin(pid: int, core: int) -> None:
    """Keep a process, with all its threads and whatever it starts from now on, on one core."""
    cores = os.sched_getaffinity(0) if core == REST else os.sched_getaffinity(pid)
    assert cores
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time that these processes have had, in user and system mode, of all their threads."""
    # How the kernel builds the clock of another process (clock_getcpuclockid, man 3).
    return sum(clock_gettime((~pid << 3) | 2) for pid in pids)


def memory_kib(pids: Sequence[int]) -> float:
    """Memory that only these processes hold."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return float(total)
