"""The process between the server and an employee's work: it starts one child, watches it, and leaves nothing behind."""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from retinue.tools.workspace.launch import child, first, scratch, tree

_SET_CHILD_SUBREAPER = 36
_TICK_MS = 50
"""A bomb of processes grows by some hundreds in that time."""


class Supervisor:
    """Ends when the child has ended, or when the server closes its side: also by being killed."""

    def __init__(self, server: socket.socket, job: dict[str, Any]) -> None:
        self._server = server
        self._job = job
        self._child = 0
        self._own = 0
        """A child that is none of the command's processes: the first of its namespace."""
        self._stopped: str | None = None

    def run(self) -> None:
        """Do the whole job and tell the server of it."""
        _adopt_orphans()
        _stay_awake()
        bell = _ring_when_a_child_ends()
        temporary = self._make_scratch()
        news, told = os.pipe()
        has_first = first.count_processes_anew()
        self._child = os.fork()
        if self._child == 0:
            child.work(self._job, told)
        os.close(told)
        _let_go_of_outputs()
        self._own = self._child if has_first else 0
        self._tell({"started": self._child})
        word = self._watch(news, bell)
        code = self._end()
        if temporary:
            scratch.remove(temporary)
        self._tell({"failed": word} if word else {"ended": code, "stopped": self._stopped})

    def _make_scratch(self) -> str | None:
        """Where a confined command can write besides its workspace, until it ends."""
        if self._job["kind"] != "run" or self._job["reach"] is None:
            return None
        path = scratch.make()
        self._job["environment"]["TMPDIR"] = path
        self._job["reach"]["writes"].append(path)
        return path

    def _watch(self, news: int, bell: int) -> str:
        """Until the child has ended or has to. Returns the word for why its work could not be begun."""
        word = ""
        poll = select.poll()
        for fd in (news, bell, self._server.fileno()):
            poll.register(fd, select.POLLIN)
        while not self._has_ended():
            ready = [fd for fd, _ in poll.poll(_TICK_MS)]
            if bell in ready:
                os.read(bell, 4_096)
            if news in ready:
                text = os.read(news, 100).decode()
                word += text
                if not text:
                    poll.unregister(news)
            if self._server.fileno() in ready or self._is_too_large():
                break
        with contextlib.suppress(OSError):
            os.set_blocking(news, False)
            word += os.read(news, 100).decode()
        return word

    def _is_too_large(self) -> bool:
        limits = self._job["limits"]
        tree.bury_orphans(but=self._child)
        # From here on, and not from the child on: what loses its parent comes to this process.
        found = tree.descendants(os.getpid(), limits["processes"] + 2)
        processes = [process for process in found if process != self._own]
        if len(processes) > limits["processes"]:
            self._stopped = "processes"
        elif tree.memory(processes) > limits["memory_bytes"]:
            self._stopped = "memory"
        return self._stopped is not None

    def _has_ended(self) -> bool:
        # Left as a zombie, so that its number, which is its group's, stays its own until the group is gone.
        return os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _end(self) -> int | None:
        """End whatever is left. The exit code as shells give it; null if the child did not end by itself."""
        ended = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        tree.end_all(self._child)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._server.sendall(json.dumps(message).encode() + b"\n")


def _adopt_orphans() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def _stay_awake() -> None:
    """Go before all others, where that is allowed, so that a crowd of children cannot keep this process from ending
    them. They do not inherit it.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _ring_when_a_child_ends() -> int:
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    return bell


def _let_go_of_outputs() -> None:
    """The server sees their end when the last of the others has closed them."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
