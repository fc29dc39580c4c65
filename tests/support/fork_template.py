"""The program behind `tests.support.forking`: imports Retinue, then forks on demand.

Orders come as JSON lines: `{"start": arguments, "env": …, "cwd": …, "log": …}` is answered with the new process's id,
`{"poll": pid}` with its exit status or null.

A server whose environment names a module in `TESTS_TOOLS` gets the tools that this module's `tools()` returns besides
Retinue's own. `TESTS_HOLE`, as `module:function`, is called before the server starts, to take out what defends it.
"""

import gc
import os
import sys
from functools import partial
from importlib import import_module
from typing import Any

import msgspec
import uuid_utils

from retinue.__main__ import main
from retinue.app import Application
from retinue.server import process
from tests.support.processes import _die_with_parent


def become(order: dict[str, Any]) -> None:
    """Turn a fresh fork into the process that was ordered. Does not return."""
    os.setsid()
    _die_with_parent()
    # Otherwise its random ids would be those of every other fork.
    uuid_utils.reseed_rng()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if module := order["env"].get("TESTS_TOOLS"):
        vars(process)["Application"] = partial(Application, tools=import_module(module).tools())
    if hole := order["env"].get("TESTS_HOLE"):
        module, _, name = hole.partition(":")
        getattr(import_module(module), name)()
    main(order["start"], prog_name="retinue")


def poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def serve_orders() -> None:
    """Until nobody can give orders any more."""
    gc.collect()
    gc.freeze()
    while line := sys.stdin.buffer.readline():
        order = msgspec.json.decode(line)
        answer = poll(order["poll"]) if "poll" in order else os.fork()
        if answer == 0 and "poll" not in order:
            become(order)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve_orders()
