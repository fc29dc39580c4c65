"""Nothing that nobody caught gets around the redactor, at the most verbose level."""

import subprocess
import sys

import pytest

SECRET = "canary-of-the-test-0123456789"

PROGRAM = """
import asyncio, gc, logging, sys, threading, warnings
from retinue.observability.crashes import report_crashes
from retinue.observability.logging import configure
from retinue.observability.redaction import Redactor

SECRET = sys.argv[2]
redactor = Redactor()
redactor.add(SECRET)
configure(format=sys.argv[3], level="debug", redactor=redactor)
report_crashes()

def fail(chained=True):
    try:
        raise KeyError({"key": SECRET})
    except KeyError as error:
        raise RuntimeError("told", SECRET) from error

class Unraisable:
    def __del__(self):
        fail()

async def in_a_callback():
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.call_soon(fail)
    await asyncio.sleep(0)

async def in_a_task():
    async def work():
        fail()
    task = asyncio.create_task(work(), name=SECRET)
    await asyncio.wait([task])
    del task
    gc.collect()

async def in_a_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(in_a_task())
        raise ValueError(SECRET)

def in_a_thread():
    thread = threading.Thread(target=fail, name=SECRET)
    thread.start()
    thread.join()

def never_written():
    logging.getLogger("some").error("%d", SECRET)

def by_a_library():
    for name in ("hypercorn.error", "sqlalchemy.engine", "asyncpg", "redis.asyncio", "httpx2", "openai", "asyncio"):
        logging.getLogger(name).debug("sent %s", SECRET)
        logging.getLogger(name).error("sent %r", [SECRET.encode()], exc_info=ValueError(SECRET))

modes = {
    "uncaught": fail,
    "unraisable": lambda: Unraisable() and None,
    "warning": lambda: warnings.warn(f"careful with {SECRET}"),
    "callback": lambda: asyncio.run(in_a_callback()),
    "task": lambda: asyncio.run(in_a_task()),
    "group": lambda: asyncio.run(in_a_group()),
    "thread": in_a_thread,
    "unwritable": never_written,
    "library": by_a_library,
}
modes[sys.argv[1]]()
"""

MODES = ("uncaught", "unraisable", "warning", "callback", "task", "group", "thread", "unwritable", "library")


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("mode", MODES)
def test_no_way_of_failing_shows_a_secret(mode: str, form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROGRAM, mode, SECRET, form],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == ""
    assert done.stderr
    assert SECRET not in done.stderr
    assert "0123456789" not in done.stderr
    assert done.returncode == (1 if mode in {"uncaught", "group"} else 0)
    assert ("***" in done.stderr) is (mode != "unwritable")
    assert "Logging error" not in done.stderr


def test_an_interrupt_is_no_crash() -> None:
    program = PROGRAM.replace("modes[sys.argv[1]]()", "raise KeyboardInterrupt(SECRET)")
    done = subprocess.run(
        [sys.executable, "-c", program, "", SECRET, "json"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.returncode != 0
