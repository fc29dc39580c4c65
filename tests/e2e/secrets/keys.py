"""Master keys, and the command that rotates them, as an operator uses both."""

import asyncio
import base64
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from tests.support.forking import ForkedProcess, ForkedServer, Template

WITHIN = 60.0


def master(name: str) -> str:
    """A master key that is the same for the same name."""
    return f"{name}:{base64.b64encode(sha256(name.encode()).digest()).decode()}"


def listed(*names: str) -> dict[str, str]:
    """The setting of these master keys, newest first."""
    return {"RETINUE_MASTER_KEYS": ",".join(map(master, names))}


OLD, NEW = "k1", "k2"


class Said(NamedTuple):
    status: int
    text: str


async def rotate_keys(template: Template, folder: Path, environment: dict[str, str], *options: str) -> Said:
    """`retinue rotate-keys`."""
    log = folder / f"rotate-{token_hex(4)}.log"
    process = ForkedProcess(template, ["rotate-keys", *options], log=log, env=environment, cwd=folder)
    status = await asyncio.to_thread(process.wait, within=WITHIN)
    text = log.read_text()
    assert "Traceback" not in text, text
    return Said(status, text)


async def restart(server: ForkedServer, *names: str) -> None:
    """In an orderly way, with other master keys."""
    await asyncio.to_thread(server.stop)
    server.environment |= listed(*names)
    await asyncio.to_thread(server.start)
