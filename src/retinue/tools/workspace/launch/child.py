"""The process that does an employee's work: it gives up everything it does not need, then does it."""

import os
import signal
from typing import Any, NoReturn

from retinue.tools.workspace.launch import files, first, identity, landlock, mounts, rights
from retinue.tools.workspace.launch.syscall_filter import Marks
from retinue.tools.workspace.launch.walk import PathChanged, reopen

NOT_FOUND, NOT_PERMITTED, PATH_CHANGED, WRONG_KIND = "not_found", "not_permitted", "path_changed", "wrong_kind"
CANNOT_CONFINE, NOT_STARTED = "cannot_confine", "not_started"


def work(job: dict[str, Any], told: int) -> NoReturn:
    """Do the job and end. Why it could not be begun is written to the descriptor `told`."""
    first.end_with_parent()
    os.setsid()
    is_alone = first.is_first()
    if is_alone:
        worker = os.fork()
        if worker:
            first.look_after(worker)
        os.setsid()
    try:
        if job["kind"] == "run":
            _run(job, told, is_alone=is_alone)
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


def _prepare(job: dict[str, Any], told: int) -> None:
    rights.plain_signals()
    rights.stand_back()
    if not job["reads_input"]:
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
    _close_all_but(told)


def _settle(job: dict[str, Any]) -> None:
    """Go to the workspace as somebody who has no rights but those that everybody has."""
    home = reopen(job["home"], os.O_RDONLY | os.O_DIRECTORY)
    os.fchdir(home)
    os.close(home)
    if not job["is_privileged"]:
        identity.give_up_privileges()
        # The kernel has forgotten it with the change of rights.
        first.end_with_parent()


def _close_all_but(told: int) -> None:
    highest = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, told)
    os.closerange(told + 1, highest if 0 < highest < 1 << 20 else 1 << 20)


def _run(job: dict[str, Any], told: int, *, is_alone: bool) -> NoReturn:
    reach = job["reach"]
    if reach is not None and not is_alone and landlock.abi() < landlock.SIGNALS_SINCE:
        # It could end every process of this user.
        raise identity.CannotConfine
    _prepare(job, told)
    threads = rights.threads_by_user()
    view = mounts.View() if reach is None else mounts.isolate(reach["writes"], is_alone=is_alone)
    _settle(job)
    rights.limit(job["limits"], threads)
    if reach is not None:
        if reach["sees_processes"] and view.has_own_processes:
            reach["reads"].append("/proc")
        rights.confine(reach, marks=_marks(view))
    os.execve(job["program"], job["argv"], job["environment"])  # noqa: S606


def _marks(view: mounts.View) -> Marks:
    if view.is_isolated:
        return Marks.FREELY
    return Marks.BY_DESCRIPTOR if identity.is_nobody() else Marks.NEVER


def _look(job: dict[str, Any], told: int) -> None:
    _prepare(job, told)
    _settle(job)
    open_, look = {
        "read": (files.open_file, files.read),
        "list": (files.open_directory, files.list_entries),
    }[job["kind"]]
    fd = open_(job["path"])
    if job["reach"] is not None:
        rights.confine(job["reach"], marks=Marks.NEVER)
    os.close(told)
    signal.alarm(int(job["limits"]["seconds"]) + 1)
    look(fd, job)
