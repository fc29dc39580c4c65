"""Looks at files and directories. What is found goes to the standard output, what is to be said of it to the other."""

import heapq
import json
import os
import stat
from typing import Any

from retinue.tools.workspace.launch.walk import reopen

_CHUNK = 65_536
MAX_ENTRIES = 2_000


class WrongKind(Exception):
    """What is there is not what was asked for."""


def open_file(path: str) -> int:
    """Raises: WrongKind, PathChanged, OSError."""
    # Merely opening a device can have an effect, so it is looked at first.
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise WrongKind
    fd = reopen(path, os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise WrongKind
    return fd


def open_directory(path: str) -> int:
    """Raises: WrongKind, PathChanged, OSError."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISDIR(mode) and not stat.S_ISLNK(mode):
        raise WrongKind
    return reopen(path, os.O_RDONLY | os.O_DIRECTORY)


def read(fd: int, job: dict[str, Any]) -> None:
    """Send some lines of a file, no more bytes than allowed."""
    with os.fdopen(fd, "rb") as file:
        skipped = 0
        while skipped < job["offset"] and (piece := file.readline(_CHUNK)):
            skipped += piece.endswith(b"\n")
        found, lines = bytearray(), 0
        while lines < job["limit"] and len(found) < job["max_bytes"]:
            piece = file.readline(min(_CHUNK, job["max_bytes"] - len(found)))
            if not piece:
                break
            found += piece
            lines += piece.endswith(b"\n")
        is_cut = bool(file.read(1))
        size = os.fstat(file.fileno()).st_size
    _write(1, found)
    _write(2, json.dumps({"size": size, "is_cut": is_cut}).encode())


def list_entries(fd: int, job: dict[str, Any]) -> None:
    """Send the entries of a directory by name, as many as fit."""
    with os.scandir(fd) as entries:
        first = heapq.nsmallest(MAX_ENTRIES + 1, entries, key=lambda entry: entry.name)
    is_cut, room = len(first) > MAX_ENTRIES, job["max_bytes"]
    for entry in first[:MAX_ENTRIES]:
        line = json.dumps(_described(entry)).encode() + b"\n"
        room -= len(line)
        if room < 0:
            is_cut = True
            break
        _write(1, line)
    _write(2, json.dumps({"is_cut": is_cut}).encode())


def _described(entry: os.DirEntry[str]) -> dict[str, Any]:
    name = os.fsencode(entry.name).decode("utf-8", "replace")
    if entry.is_symlink():
        return {"name": name, "type": "link"}
    if entry.is_dir(follow_symlinks=False):
        return {"name": name, "type": "directory"}
    if not entry.is_file(follow_symlinks=False):
        return {"name": name, "type": "other"}
    try:
        return {"name": name, "type": "file", "size": entry.stat(follow_symlinks=False).st_size}
    except OSError:
        return {"name": name, "type": "file"}


def _write(fd: int, content: bytes | bytearray) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
