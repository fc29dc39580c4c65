"""The processes that came from one: finding them, measuring them, ending them."""

import contextlib
import os
import resource
import signal
import time

_GONE = (FileNotFoundError, ProcessLookupError)
_OF_OTHERS = PermissionError
"""Where /proc hides the processes of other users, such as those that sudo starts."""
_HELD = (b"RssAnon:", b"RssShmem:")
STILLING_SECONDS = 4.0
"""For a crowd that goes on multiplying meanwhile, on a machine that has other things to do."""
ENDING_SECONDS = 4.0
"""To go on ending processes that do not end, such as those of another user."""


def descendants(process: int, most: int | None = None) -> list[int]:
    """All that came from a process, as far as /proc tells; at least `most` if there are so many.

    Raises: OSError: it cannot be seen.
    """
    found: list[int] = []
    waiting = [process]
    while waiting and (most is None or len(found) < most):
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def memory(processes: list[int]) -> int:
    """Bytes that the processes hold and that no file backs. What they share counts for each.

    Raises: OSError: it cannot be seen.
    """
    return sum(map(_own_memory, processes))


def living(processes: list[int]) -> list[int]:
    """Those of the processes that have not ended. The dead count for nobody, however long their parent lets them lie.

    Raises: OSError: it cannot be seen.
    """
    return [process for process in processes if _is_alive(process)]


def end_all(group: int, *, first: int = 0) -> bool:
    """End a process group and whatever else came from this process, which adopts what loses its parent.

    Returns whether nothing is left. What this user may not end is, and what goes on multiplying unseen.

    Args:
        first: the first process of a namespace that all of them are in: with it the kernel ends them all.
    """
    if first:
        with contextlib.suppress(OSError):
            os.kill(first, signal.SIGKILL)
    else:
        _still_all(time.monotonic() + STILLING_SECONDS)
    _kill_group(group)
    until = time.monotonic() + ENDING_SECONDS
    while True:
        with contextlib.suppress(OSError):
            for process in descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
        if not _reap():
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
        _kill_group(group)


def bury_orphans(*, but: int) -> None:
    """Take leave of those that have ended, but for one, which is to keep its number."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == but:
                return
            os.waitpid(ended.si_pid, 0)


def _still_all(until: float) -> None:
    """Let nothing that came from this process go on, and nothing more come from it, before anything of it is ended: a
    crowd that may have no more processes would fill every place that becomes free.
    """
    stilled: set[int] = set()
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            news = set(descendants(os.getpid())) - stilled
            if not news:
                return
            for process in news:
                _still(process)
            stilled |= news


def _still(process: int) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # Should one of them wake another, it can start no more, nor can what it starts. (Does not hold for root.)
        resource.prlimit(process, resource.RLIMIT_NPROC, (0, 0))
    with contextlib.suppress(OSError):
        os.kill(process, signal.SIGSTOP)


def _kill_group(group: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)


def _reap() -> bool:
    """Take leave of all that have ended. Whether any are left."""
    with contextlib.suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return True
    return False


def _children(process: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(*_GONE, _OF_OTHERS):
        for thread in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(*_GONE), open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _is_alive(process: int) -> bool:
    with contextlib.suppress(*_GONE), open(f"/proc/{process}/stat", "rb") as file:
        # The state follows the name, which stands in brackets and may hold any.
        return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def _own_memory(process: int) -> int:
    with contextlib.suppress(*_GONE, _OF_OTHERS), open(f"/proc/{process}/status", "rb") as file:
        return sum(int(line.split()[1]) * 1_024 for line in file if line.startswith(_HELD))
    return 0
