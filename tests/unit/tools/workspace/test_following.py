"""Paths whose end cannot be seen, and how much work following may make."""

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from retinue.domain.errors import ToolError
from retinue.tools.workspace.following import MAX_LINKS, MAX_STEPS, CannotFollow, Follower
from tests.unit.tools.workspace.conftest import CANARY, LOOSE, Site, attempt

DEEP, LAST = "n" * 240, "l" * 120


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name that was looked up."""
    seen: list[str] = []
    real: Callable[..., str] = os.readlink

    def counted(path: Any, **more: Any) -> str:
        seen.append(path)
        return real(path, **more)

    monkeypatch.setattr(os, "readlink", counted)
    return seen


@pytest.fixture
def beyond(site: Site) -> Iterator[str]:
    """A short path to a link to a neighbour's file that lies deeper than a path may be long."""
    fd = os.open(site.home, os.O_RDONLY)
    for _ in range(17):
        os.mkdir(DEEP, dir_fd=fd)
        inner = os.open(DEEP, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.symlink(site.neighbour / "secret.txt", LAST, dir_fd=fd)
    os.close(fd)
    os.symlink("/".join([DEEP] * 16), site.home / "down")
    yield f"down/{DEEP}/{LAST}"
    # What is made by steps is too deep for some who tidy up.
    subprocess.run(["rm", "-rf", str(site.home / DEEP)], check=True)


async def test_a_path_that_is_too_long_for_the_server_is_not_inside(site: Site, beyond: str) -> None:
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("file_read", {"path": beyond}),
        ("list_dir", {"path": beyond}),
        ("shell_exec_safe", {"command": f"cat {beyond}"}),
    )
    for name, args in calls:
        found = await attempt(site.allowed(name, args, confinement=LOOSE))
        assert isinstance(found, ToolError)
        assert found.problem_code == "invalid_path"
        assert CANARY not in repr(found)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG, errno.ESTALE])
async def test_where_the_system_does_not_look_nothing_is_known(
    site: Site, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real: Callable[..., str] = os.readlink

    def failing(path: Any, **more: Any) -> str:
        if str(path).endswith("notes.txt"):
            raise OSError(code, os.strerror(code))
        return real(path, **more)

    monkeypatch.setattr(os, "readlink", failing)
    error = await attempt(site.assessed("file_read", {"path": "notes.txt"}))
    assert isinstance(error, ToolError)
    assert error.problem_code == "invalid_path"


async def test_a_file_that_cannot_be_looked_at_is_not_taken_for_ones_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.lstat

    def failing(path: Any, **more: Any) -> os.stat_result:
        found = real(path, **more)
        if stat.S_ISREG(found.st_mode) and str(path).endswith("notes.txt"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return found

    monkeypatch.setattr(os, "lstat", failing)
    error = await attempt(site.assessed("file_read", {"path": "notes.txt"}))
    assert isinstance(error, ToolError)
    assert error.problem_code == "invalid_path"


def a_chain(site: Site, parts: int) -> None:
    """As many links as may be, each with a target of that many parts."""
    for number in range(MAX_LINKS - 1):
        (site.home / f"l{number}").symlink_to("./" * parts + f"l{number + 1}")
    (site.home / f"l{MAX_LINKS - 1}").symlink_to("notes.txt")
    (site.home / "z").symlink_to("l1")
    (site.home / "y").symlink_to("l2")


async def test_words_that_come_again_are_followed_once(site: Site, lookups: list[str]) -> None:
    a_chain(site, parts=10)
    await site.assessed("shell_exec_safe", {"command": "cat z"})
    once = len(lookups)
    lookups.clear()
    await site.assessed("shell_exec_safe", {"command": "cat" + " z" * 2_000})
    assert len(lookups) == once
    lookups.clear()
    await site.assessed("shell_exec_safe", {"command": "cat z y"})
    assert len(lookups) <= once + 1, "links that two paths have in common are looked up once"


async def test_the_work_of_following_is_bounded(site: Site) -> None:
    a_chain(site, parts=1_900)
    command = "cat " + " ".join("./" * number + "z" for number in range(50))
    error = await attempt(site.assessed("shell_exec_safe", {"command": command}))
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.took_effect) == ("invalid_path", False)


def test_steps_are_counted_over_all_paths() -> None:
    follower = Follower(steps=6)
    assert follower.follow("/usr/bin") == os.path.realpath("/usr/bin")
    with pytest.raises(CannotFollow):
        follower.follow("/a/b/c/d")


def test_a_command_full_of_paths_is_well_within_bounds() -> None:
    follower = Follower()
    for number in range(2_000):
        follower.follow(f"/srv/retinue/workspaces/tenant/{number}")
    assert MAX_STEPS > 2_000 * 8
