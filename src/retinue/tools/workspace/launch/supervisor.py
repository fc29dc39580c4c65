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

from retinue.tools.workspace.launch import child, first, tree
from retinue.tools.workspace.launch.scratch import Scratch

_SET_CHILD_SUBREAPER = 36
_CROWD = 10
"""So many times the processes that a command may have are looked through for those that have ended."""
_TICK_MS = 20
"""A bomb of processes grows by a hundred in that time, and may choke on its own bound soon after."""


class Supervisor:
    """Ends when the child has ended, or when the server closes its side: also by being killed."""

    def __init__(self, server: socket.socket, job: dict[str, Any]) -> None:
        self._server = server
        self._job = job
        self._child = 0
        self._own = 0
        """A child that is none of the command's processes: the first of its namespace."""
        self._scratch: Scratch | None = None
        self._stopped: str | None = None

    def run(self) -> None:
        """Do the whole job and tell the server of it."""
        _adopt_orphans()
        _stay_awake()
        try:
            bell = _ring_when_a_child_ends()
            self._make_scratch()
            news = self._start()
        except OSError:
            self._remove_scratch()
            self._tell({"failed": child.NOT_STARTED})
            return
        _let_go_of_outputs()
        self._tell({"started": self._child})
        word = self._watch(news, bell)
        ended = self._end()
        self._remove_scratch()
        self._tell({"failed": word} if word else ended)

    def _start(self) -> int:
        """Returns the descriptor on which the child says why it cannot begin."""
        news, told = os.pipe()
        has_first = first.count_processes_anew(may_get_rights=self._job["is_privileged"])
        self._child = os.fork()
        if self._child == 0:
            child.work(self._job, told)
        os.close(told)
        self._own = self._child if has_first else 0
        return news

    def _make_scratch(self) -> None:
        """Where a confined command can write besides its workspace, until it ends."""
        if self._job["kind"] == "run" and self._job["reach"] is not None:
            self._scratch = Scratch()
            self._job["environment"]["TMPDIR"] = self._scratch.path
            self._job["reach"]["writes"].append(self._scratch.path)

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            self._scratch.remove()

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
        try:
            processes = self._processes(limits["processes"])
            memory = tree.memory(processes)
        except OSError:
            # Whoever can blind this process must not gain by it.
            self._stopped = "unseen"
            return True
        if len(processes) > limits["processes"]:
            self._stopped = "processes"
        elif memory > limits["memory_bytes"]:
            self._stopped = "memory"
        return self._stopped is not None

    def _processes(self, limit: int) -> list[int]:
        """The command's processes, or more than `limit` of them. The dead count only where there are very many.

        Looks at few first: of a bomb those are alive, and it grows while it is looked at.

        Raises: OSError: they cannot be seen.
        """
        found = self._found(limit + 2)
        if len(found) > limit and len(tree.living(found)) <= limit:
            return tree.living(self._found(_CROWD * limit))
        return found

    def _found(self, most: int) -> list[int]:
        # From here on, and not from the child on: what loses its parent comes to this process.
        return [process for process in tree.descendants(os.getpid(), most) if process != self._own]

    def _has_ended(self) -> bool:
        # Left as a zombie, so that its number, which is its group's, stays its own until the group is gone.
        return os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _end(self) -> dict[str, Any]:
        """End whatever is left, and say how it ended: the exit code as shells give it, null if it was ended."""
        ended = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        is_left = not tree.end_all(self._child, first=self._own)
        code = None
        if ended is not None:
            code = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
        return {"ended": code, "stopped": self._stopped, "is_left": is_left}

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
