"""What the operator says about workspaces."""

from pathlib import Path
from typing import Literal

import msgspec


class WorkspaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    root: Path
    """Holds one directory per tenant, named by the tenant's id and made when it is first needed (0700)."""
    outside: Literal["ask", "deny"] = "ask"
    """Whether a call that leaves the tenant's directory is asked for or refused."""
    sudo: bool = False
    unconfined: bool = False
    """Whether commands that only the kernel could confine may run on one that cannot. Such a command can do all that
    the server's own user can."""
    network: bool = False
    """Whether approved commands may open connections. They pass by the egress guard, so they reach internal hosts."""
    seconds: float = 30.0
    """For one command, or one look at a file."""
    memory_bytes: int = 536_870_912
    """Of address space for each process, and of memory for all processes of one command together."""
    output_bytes: int = 65_536
    """Of each of the two outputs."""
    path: str = "/usr/local/bin:/usr/bin:/bin"
    """Absolute directories, separated by colons, in which programs are looked for."""
    protected: tuple[Path, ...] = ()
    """The server's own data: database, keys, configuration. Nobody gets there, with whatever approval."""
