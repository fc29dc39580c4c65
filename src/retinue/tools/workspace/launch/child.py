"""The process that does an employee's work: it gives up everything it does not need, then does it."""

import os
import signal
from typing import Any, NoReturn

from retinue.tools.workspace.launch import files, first, identity, mounts, rights
from retinue.tools.workspace.launch.walk import PathChanged, reopen

NOT_FOUND, NOT_PERMITTED, PATH_CHANGED, WRONG_KIND = "not_found", "not_permitted", "path_changed", "wrong_kind"
CANNOT_CONFINE, NOT_STARTED = "cannot_confine", "not_started"


def work(job: dict[str, Any], told: int) -> NoReturn:
    """Do the job and end. Why it could not be begun is written to the descriptor `told`."""
    first.end_with_parent()
    os.setsid()
    if first.is_first():
        worker = os.fork()
        if worker:
            first.look_after(worker)
        os.setsid()
    try:
        is_isolated = _prepare(job, told)
        if job["kind"] == "run":
            _run(job, is_isolated=is_isolated)
        _look(job, told)
    except BaseException as error:
        os.write(told, _word_for(error).encode())
        os._exit(127)
    os._exit(0)


def _word_for(error: BaseException) -> str:
    match error:
        case PathChanged():
            return PATH_CHANGED
        case files.WrongKind() | IsADirectoryError() | NotADirectoryError():
            return WRONG_KIND
        case identity.CannotConfine():
            return CANNOT_CONFINE
        case FileNotFoundError():
            return NOT_FOUND
        case PermissionError():
            return NOT_PERMITTED
    return NOT_STARTED


def _prepare(job: dict[str, Any], told: int) -> bool:
    """Whether only what the job may write is writable in this process's view of the files."""
    rights.plain_signals()
    rights.stand_back()
    if not job["reads_input"]:
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
    _close_all_but(told)
    is_isolated = job["kind"] == "run" and job["reach"] is not None and mounts.isolate(job["reach"]["writes"])
    home = reopen(job["home"], os.O_RDONLY | os.O_DIRECTORY)
    os.fchdir(home)
    os.close(home)
    if not job["is_privileged"]:
        identity.give_up_privileges()
    return is_isolated


def _close_all_but(told: int) -> None:
    highest = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, told)
    os.closerange(told + 1, highest if 0 < highest < 1 << 20 else 1 << 20)


def _run(job: dict[str, Any], *, is_isolated: bool) -> NoReturn:
    rights.limit(job["limits"])
    if job["reach"] is not None:
        rights.confine(job["reach"], marks_files=is_isolated)
    os.execve(job["program"], job["argv"], job["environment"])  # noqa: S606


def _look(job: dict[str, Any], told: int) -> None:
    open_, look = {
        "read": (files.open_file, files.read),
        "list": (files.open_directory, files.list_entries),
    }[job["kind"]]
    fd = open_(job["path"])
    if job["reach"] is not None:
        rights.confine(job["reach"], marks_files=False)
    os.close(told)
    signal.alarm(int(job["limits"]["seconds"]) + 1)
    look(fd, job)
