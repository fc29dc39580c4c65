"""Run by an ordinary user in a process of its own: what the tests say as root, said again without its rights.

Arguments: a directory of that user's. Prints what it found as JSON.
"""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from retinue.domain.errors import ToolError
from retinue.tools.base import Caller, Invocation
from retinue.tools.workspace.confinement import probe
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings

BOMB = "import os, time\nwhile True:\n    if os.fork() == 0:\n        os.setsid()"


async def main(place: Path) -> dict[str, Any]:
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

    async def program(code: str) -> Any:
        (home / "program.py").write_text(code)
        return await call("shell_exec_safe", command="python3 program.py")

    async def bomb() -> Any:
        (home / "program.py").write_text(BOMB)
        return await call("shell_exec_safe", command="python3 program.py 2> errors")

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
    found["bomb"] = await bomb()
    found["mode"] = secret.stat().st_mode & 0o777
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))  # noqa: T201
