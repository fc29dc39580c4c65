"""What looking at files and directories tells."""

import os
import socket
from typing import Any

import pytest

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace.confinement import Confinement
from tests.unit.tools.workspace.conftest import LOOSE, Site, attempt


@pytest.fixture(params=[None, LOOSE], ids=["this kernel", "without landlock"])
def kernel(request: pytest.FixtureRequest) -> Confinement | None:
    chosen: Confinement | None = request.param
    return chosen


async def read(site: Site, path: str, **args: Any) -> Any:
    return await attempt(site.allowed("file_read", {"path": path, **args}))


async def test_a_file_is_read(site: Site, kernel: Confinement | None) -> None:
    result = await site.allowed("file_read", {"path": "notes.txt"}, confinement=kernel)
    assert result == {"path": "notes.txt", "content": "one\ntwo\nthree\n", "size": 14, "is_cut": False}


async def test_a_directory_is_listed(site: Site, kernel: Confinement | None) -> None:
    (site.home / "link").symlink_to("notes.txt")
    os.mkfifo(site.home / "pipe")
    result = await site.allowed("list_dir", {}, confinement=kernel)
    assert result == {
        "path": ".",
        "entries": [
            {"name": "folder", "type": "directory"},
            {"name": "link", "type": "link"},
            {"name": "notes.txt", "type": "file", "size": 14},
            {"name": "pipe", "type": "other"},
        ],
        "is_cut": False,
    }


@pytest.mark.parametrize(
    ("offset", "limit", "content", "is_cut"),
    [
        (0, 1, "one\n", True),
        (1, 1, "two\n", True),
        (1, 5, "two\nthree\n", False),
        (2, 1, "three\n", False),
        (9, 9, "", False),
    ],
)
async def test_parts_of_a_file(site: Site, offset: int, limit: int, content: str, is_cut: bool) -> None:
    result = await read(site, "notes.txt", offset=offset, limit=limit)
    assert (result["content"], result["is_cut"]) == (content, is_cut)


async def test_a_large_file_is_cut(site: Site) -> None:
    (site.home / "large").write_bytes(b"x" * 5_000_000)
    result = await site.allowed("file_read", {"path": "large"}, output_bytes=1_000)
    assert (len(result["content"]), result["is_cut"], result["size"]) == (1_000, True, 5_000_000)


async def test_a_large_directory_is_cut(site: Site) -> None:
    for number in range(200):
        (site.home / "folder" / f"{number:03}").touch()
    result = await site.allowed("list_dir", {"path": "folder"}, output_bytes=2_000)
    names = [entry["name"] for entry in result["entries"]]
    assert result["is_cut"]
    assert names == [f"{number:03}" for number in range(len(names))]
    assert 10 < len(names) < 100


async def test_text_that_is_none_is_replaced(site: Site) -> None:
    (site.home / "binary").write_bytes(b"a\xff\x00\xc3b")
    assert (await read(site, "binary"))["content"] == "a\ufffd\x00\ufffdb"
    (site.home / os.fsdecode(b"n\xff")).touch()
    result = await site.allowed("list_dir", {})
    assert "n\ufffd" in {entry["name"] for entry in result["entries"]}


async def test_what_is_not_there_is_said(site: Site) -> None:
    error = await read(site, "missing.txt")
    assert isinstance(error, ToolError)
    assert (error.problem_code, error.kind, error.took_effect) == ("not_found", ToolErrorKind.VALIDATION, False)


@pytest.mark.parametrize("name", ["pipe", "folder", "socket"])
async def test_only_files_are_read(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe would keep the reader waiting; a device may do something when it is opened."""
    os.mkfifo(site.home / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(site.home)
        server.bind("socket")
    error = await read(site, name)
    assert isinstance(error, ToolError)
    assert error.problem_code == "wrong_kind"


async def test_only_directories_are_listed(site: Site) -> None:
    error = await attempt(site.allowed("list_dir", {"path": "notes.txt"}))
    assert isinstance(error, ToolError)
    assert error.problem_code == "wrong_kind"
