"""Run by an ordinary user in a process of its own: what the tests say as root, said again without its rights.

Arguments: a directory of that user's, and a change to the launcher. Prints what it found as JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from retinue.domain.errors import ToolError
from retinue.tools.base import Caller, Invocation
from retinue.tools.workspace.confinement import probe
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings

HANDS_OFF = """
import os, resource
def attempt(name, work):
    try: work(); print(name)
    except OSError: pass
for process in ({server}, {victim}, os.getppid()):
    attempt("limits", lambda: resource.prlimit(process, resource.RLIMIT_CPU, (1, 1)))
    attempt("affinity", lambda: os.sched_setaffinity(process, os.sched_getaffinity(0)))
    attempt("scheduler", lambda: os.sched_setscheduler(process, os.SCHED_IDLE, os.sched_param(0)))
    attempt("parameters", lambda: os.sched_setparam(process, os.sched_param(0)))
    attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, process, 19))
attempt("priorities of a user", lambda: os.setpriority(os.PRIO_USER, 0, 19))
print("over")
"""
MAZE = """
import os
os.chdir(os.environ["TMPDIR"])
os.mkdir("a"); os.mkdir("a/b"); open("a/b/file", "w"); os.mkdir("a/b/c", 0); os.mkdir("d", 0)
print(os.environ["TMPDIR"])
"""
BOMB = """
import os
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass  # what may have no more goes on with what it has
"""


def change_launcher(change: str) -> None:
    """See the function of that name in `conftest`, which cannot be imported here."""
    real = subprocess.Popen
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        f"sys.path += {sys.path!r}\n"
        "from retinue.tools.workspace.launch import first, mounts\n"
        f"{change}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )

    def start(command: list[str], **more: Any) -> Any:
        return real([*command[:3], "-c", code, *command[3:]], **more)

    subprocess.Popen = start  # type: ignore[assignment, misc]


async def main(place: Path, victim: int) -> dict[str, Any]:
    tenant = uuid.UUID(int=1)
    caller = Caller(tenant_id=tenant, employee_id=tenant, conversation_id=tenant, run_id=tenant)
    settings = WorkspaceSettings(root=place / "root", protected=(place / "data",), seconds=15.0)
    tools = {tool.name: tool for tool in workspace_tools(settings)}
    home = settings.root / str(tenant)

    async def call(name: str, **args: Any) -> Any:
        tool = tools[name]
        arguments = tool.read(args)
        assessment = await tool.assess(arguments, caller)
        invocation = Invocation(caller=caller, call_id="c", idempotency_key="k", scope=assessment.scope)
        try:
            return await tool.run(arguments, invocation)
        except ToolError as error:
            return error.problem_code

    name = f"program{os.getpid()}.py"  # others may do the same at the same time

    async def program(code: str) -> Any:
        (home / name).write_text(code)
        return await call("shell_exec_safe", command=f"python3 {name}")

    async def bomb() -> Any:
        (home / name).write_text(BOMB)
        return await call("shell_exec_safe", command=f"python3 {name} 2> errors")

    (place / "data").mkdir()
    secret = place / "data" / "secret.txt"
    secret.write_text("canary")
    found: dict[str, Any] = {"is_tight": probe().is_tight, "user": os.geteuid()}
    found["listed"] = await call("list_dir")
    (home / "notes.txt").write_text("one\n")
    found["read"] = await call("file_read", path="notes.txt")
    found["cat"] = await call("shell_exec_safe", command="cat notes.txt")
    found["outside"] = await call("file_read", path="/etc/machine-id")
    found["wrote"] = await call("shell_exec_safe", command="echo two > new.txt; chmod 700 new.txt; cat new.txt")
    found["chmod"] = await program(f"import os; os.chmod({str(secret)!r}, 0o777); print('done')")
    found["opened"] = await program(f"open({str(secret)!r}).read(); print('done')")
    found["killed"] = await program(f"import os; os.kill({os.getpid()}, 0); print('done')")
    found["environment"] = await program(f"open('/proc/{os.getpid()}/environ').read(); print('done')")
    found["hands off"] = await program(HANDS_OFF.format(server=os.getpid(), victim=victim))
    found["processes"] = await call("shell_exec_safe", command="ps aux")
    found["seen"] = await program("import os; print(os.getpid())")
    found["maze"] = await program(MAZE)
    found["bomb"] = await bomb()
    found["program"] = name
    found["mode"] = secret.stat().st_mode & 0o777
    return found


if __name__ == "__main__":
    other = subprocess.Popen(["sleep", "1000"], env={"CANARY": "canary"})
    change_launcher(sys.argv[2])
    try:
        print(json.dumps(asyncio.run(main(Path(sys.argv[1]), other.pid))))  # noqa: T201
    finally:
        other.kill()
