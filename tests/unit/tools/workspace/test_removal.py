"""Removing a workspace removes all of it, and nothing else."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from retinue.domain.ids import new_id
from retinue.tools.workspace import removal
from retinue.tools.workspace.removal import remove_workspace, workspaces_in


@pytest.fixture
def tenant() -> UUID:
    return new_id()


@pytest.fixture
def home(tmp_path: Path, tenant: UUID) -> Path:
    home = tmp_path / "root" / str(tenant)
    home.mkdir(parents=True)
    return home


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    return outside


def test_everything_goes(home: Path, tenant: UUID) -> None:
    (home / "a" / "b" / "c").mkdir(parents=True)
    (home / "a" / "b" / "file").write_text("x")
    (home / ".hidden").write_text("x")
    os.mkfifo(home / "fifo")
    (home / "a" / "\udcff\n").write_text("a name that is no text")
    neighbour = home.with_name(str(new_id()))
    neighbour.mkdir()
    assert remove_workspace(home.parent, tenant)
    assert list(home.parent.iterdir()) == [neighbour]
    assert not remove_workspace(home.parent, tenant)
    assert not remove_workspace(home.parent / "never", tenant)


def test_links_are_removed_and_not_followed(home: Path, tenant: UUID, outside: Path) -> None:
    (home / "a" / "b").mkdir(parents=True)
    for place in (home / "link", home / "a" / "link", home / "a" / "b" / "link"):
        place.symlink_to(outside)
    (home / "a" / "hard").hardlink_to(outside / "kept")
    (home / "up").symlink_to("..")
    remove_workspace(home.parent, tenant)
    assert not home.exists()
    assert (outside / "kept").read_text() == "kept"


@pytest.mark.parametrize("make", [Path.symlink_to, Path.write_bytes])
def test_a_workspace_that_is_none_is_removed_as_what_it_is(
    home: Path, tenant: UUID, outside: Path, make: Callable[[Path, object], None]
) -> None:
    home.rmdir()
    make(home, outside if make is Path.symlink_to else b"x")
    remove_workspace(home.parent, tenant)
    assert not home.is_symlink()
    assert not home.exists()
    assert (outside / "kept").exists()


def test_depth_does_not_matter(home: Path, tenant: UUID) -> None:
    """Deeper than Python recurses, than a path may be long and than files may be open."""
    place = os.open(home, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=place)
        inner = os.open("deep", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    remove_workspace(home.parent, tenant)
    assert not home.exists()


@pytest.mark.parametrize("step", ["_is_directory", "_make_mine"])
def test_a_directory_that_is_put_aside_meanwhile_leads_nowhere(
    home: Path, tenant: UUID, outside: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A command that still runs swaps a directory for a link, between looking at it and opening it."""
    swapped = home / "swapped"
    swapped.mkdir()
    act = getattr(removal, step)

    def swap(name: str, place: int) -> object:
        found = act(name, place)
        if name == "swapped" and not swapped.is_symlink():
            swapped.rmdir()
            swapped.symlink_to(outside)
        return found

    monkeypatch.setattr(removal, step, swap)
    with pytest.raises(OSError, match="swapped"):
        remove_workspace(home.parent, tenant)
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 != 0o700
    monkeypatch.undo()
    remove_workspace(home.parent, tenant)
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's rights are needed")
def test_directories_that_nobody_may_enter_are_opened(home: Path, tenant: UUID, tmp_path: Path) -> None:
    (home / "a" / "b").mkdir(parents=True)
    (home / "a" / "b" / "file").write_text("x")
    for path in (home / "a" / "b", home / "a", home):
        path.chmod(0)
    for path in (home.parent, home, home / "a", home / "a" / "b", home / "a" / "b" / "file"):
        os.chown(path, 65534, 65534)
    for path in (tmp_path, *tmp_path.parents[:-1]):
        if path.stat().st_mode & 0o001 == 0 and "pytest" in str(path):
            path.chmod(path.stat().st_mode | 0o011)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            os._exit(0 if remove_workspace(home.parent, tenant) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not home.exists()


def test_workspaces_are_told_by_their_names(tmp_path: Path) -> None:
    tenant = new_id()
    for name in (str(tenant), str(tenant).upper(), tenant.hex, "lost+found", ".x"):
        (tmp_path / name).mkdir()
    assert workspaces_in(tmp_path) == [tenant]
    assert workspaces_in(tmp_path / "never") == []
