"""What a process of the workspace is told to do, and what became of it."""

from typing import Literal

import msgspec

from retinue.domain.secret import Secret
from retinue.tools.workspace.confinement import Reach

PROCESSES = 64
FILE_BYTES = 268_435_456
OPEN_FILES = 256


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    memory_bytes: int
    processes: int = PROCESSES
    """At the same time."""
    file_bytes: int = FILE_BYTES
    """Of each file that is written."""
    open_files: int = OPEN_FILES
    """Of each process."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Sent to the process as JSON. Holds no secret."""

    kind: Literal["run", "read", "list"]
    home: str
    """The working directory: the workspace's root."""
    limits: Limits
    reach: Reach | None
    """Null: the kernel does not confine it."""
    environment: dict[str, str]
    """All of it."""
    program: str = ""
    argv: tuple[str, ...] = ()
    reads_input: bool = False
    is_privileged: bool = False
    """It is to get other rights, so it keeps the way to them."""
    path: str = ""
    offset: int = 0
    limit: int = 0
    max_bytes: int = 0


class Prompt(msgspec.Struct, frozen=True):
    """How a program asks for a password, and what it gets."""

    marker: str
    """Unguessable text that the program shows, on its second output, whenever it asks."""
    password: Secret
    is_trial: bool = False
    """No command is begun, so the program's own word is taken for why it ends."""


End = Literal["ended", "failed", "time", "output", "memory", "processes", "wrong_password", "cancelled", "lost"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job."""

    end: End
    """`ended`: by itself. `failed`: it could not be begun, and `code` says why. `lost`: nobody knows. The others: it
    was ended for that reason."""
    code: str = ""
    exit_code: int | None = None
    """As shells give it: 128 and the signal's number for a process that was ended by one."""
    stdout: bytes = b""
    stderr: bytes = b""
    is_cut: bool = False
    asked: bool = False
    """For the password."""
    is_left: bool = False
    """Something of it goes on that this server's user may not end."""
    duration_ms: int = 0
