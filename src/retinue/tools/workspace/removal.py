"""Removing workspaces. Whatever an employee has made of one: nothing outside of it is touched."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from uuid import UUID

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_MINE = 0o700


def workspaces_in(root: Path) -> list[UUID]:
    """The tenants that have a workspace here. Blocks.

    Raises:
        OSError.
    """
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return []
    return [tenant for name in names if (tenant := _tenant(name)) is not None]


def remove_workspace(root: Path, tenant_id: UUID) -> bool:
    """Remove a tenant's workspace; false if there is none. Blocks, for long if there is much in it.

    Symbolic links are removed and never followed, directories that nobody may enter are opened, and there may be any
    number of them inside each other.

    Raises:
        OSError: something cannot be removed; what could be is gone.
    """
    try:
        with _opened(os.fspath(root), None) as place:
            return _remove(str(tenant_id), place)
    except FileNotFoundError:
        return False


def _remove(name: str, place: int) -> bool:
    if not _is_directory(name, place):
        os.unlink(name, dir_fd=place)
        return True
    _make_mine(name, place)
    with _opened(name, place) as home:
        _empty(home)
    os.rmdir(name, dir_fd=place)
    return True


def _empty(home: int) -> None:
    """Directories are brought up before they are removed: then it does not matter how deep they lie."""
    while names := os.listdir(home):
        for name in names:
            if not _is_directory(name, home):
                os.unlink(name, dir_fd=home)
                continue
            _make_mine(name, home)
            with _opened(name, home) as inner:
                _bring_up(inner, home)
            os.rmdir(name, dir_fd=home)


def _bring_up(inner: int, home: int) -> None:
    for name in os.listdir(inner):
        if _is_directory(name, inner):
            _make_mine(name, inner)
            os.rename(name, token_hex(16), src_dir_fd=inner, dst_dir_fd=home)
        else:
            os.unlink(name, dir_fd=inner)


def _is_directory(name: str, place: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode)


def _make_mine(name: str, place: int) -> None:
    """Let its owner enter and change it. By way of what was opened: a name may lead elsewhere a moment later."""
    path_only = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
    try:
        with suppress(PermissionError, FileNotFoundError):
            os.chmod(f"/proc/self/fd/{path_only}", _MINE)
    finally:
        os.close(path_only)


@contextmanager
def _opened(name: str, place: int | None) -> Iterator[int]:
    flags = _DIRECTORY if place is not None else os.O_RDONLY | os.O_DIRECTORY
    descriptor = os.open(name, flags, dir_fd=place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _tenant(name: str) -> UUID | None:
    try:
        tenant = UUID(name)
    except ValueError:
        return None
    return tenant if str(tenant) == name else None
