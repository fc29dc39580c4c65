"""What a process costs, and on which core it runs."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from time import clock_gettime
from typing import NamedTuple

import psutil


class Cores(NamedTuple):
    """Who runs where. Empty sets: anywhere."""

    server: frozenset[int]
    """One core, for the service that is measured and for nothing else."""
    rest: frozenset[int]
    """All others: for the load, the model provider and the databases."""

    @classmethod
    def shared_out(cls) -> "Cores":
        """The cores that this process may use, the first for servers; nobody is pinned where that cannot be done."""
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if len(allowed) < 2:
            return cls(frozenset(), frozenset())
        return cls(frozenset(allowed[:1]), frozenset(allowed[1:]))

    @property
    def is_pinned(self) -> bool:
        return bool(self.server)


def pin(pid: int, cores: frozenset[int]) -> None:
    """Keep a process, with all its threads and whatever it starts from now on, on these cores."""
    if cores:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time that these processes have had, in user and system mode, of all their threads."""
    if platform.system() != "Linux":
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
    # How the kernel builds the clock of another process (clock_getcpuclockid, man 3): exact, where /proc counts ticks.
    return sum(clock_gettime((~pid << 3) | 2) for pid in pids)


def busy_seconds(cores: frozenset[int]) -> float:
    """Time in which these cores, or all if there are none, were not idle, as their mean."""
    times = psutil.cpu_times(percpu=True)
    chosen = [times[core] for core in cores] or times
    return sum(sum(each[:]) - each.idle - getattr(each, "iowait", 0.0) for each in chosen) / len(chosen)


def memory_kib(pids: Sequence[int]) -> float:
    """Memory that only these processes hold."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in pids) / 1024


def description() -> dict[str, str]:
    """For the report: figures of other machines cannot be compared."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "system": platform.platform(),
    }
