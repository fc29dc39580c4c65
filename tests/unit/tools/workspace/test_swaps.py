"""What is looked at is what is used: links that appear between the look and the use lead nowhere."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retinue.domain.errors import ToolError
from retinue.tools.workspace import process, processes
from retinue.tools.workspace.confinement import Confinement
from retinue.tools.workspace.jobs import Job
from tests.unit.tools.workspace.conftest import CANARY, LOOSE, Site, attempt, needs_confinement


def replace(path: Path, target: Path | str) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(target)


SWAPS: dict[str, Callable[[Site], None]] = {
    "the file": lambda site: replace(site.home / "folder" / "deep" / "inner.txt", site.outside / "secret.txt"),
    "the file, to a neighbour": lambda site: replace(
        site.home / "folder" / "deep" / "inner.txt", site.neighbour / "secret.txt"
    ),
    "the file, to the kernel": lambda site: replace(site.home / "folder" / "deep" / "inner.txt", "/proc/self/environ"),
    "its directory": lambda site: replace(site.home / "folder" / "deep", site.outside / "deep"),
    "a directory further up": lambda site: replace(site.home / "folder", site.outside),
    "the workspace": lambda site: replace(site.home, site.outside),
    "the root of all": lambda site: replace(site.root, site.outside),
}


@pytest.fixture(params=SWAPS)
def swap(request: pytest.FixtureRequest, site: Site) -> Callable[[], None]:
    copies = (site.neighbour, site.outside / "deep", site.outside / str(site.caller.tenant_id) / "folder" / "deep")
    for place in (site.home / "folder" / "deep", *copies):
        place.mkdir(parents=True, exist_ok=True)
        (place / "inner.txt").write_text("inner\n" if place.is_relative_to(site.home) else CANARY)
    return lambda: SWAPS[request.param](site)


def at_the_last_moment(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> None:
    """After all looks of the server, right before the process is started."""
    real = process.carry_out

    def late(job: Job, *args: Any, **more: Any) -> Any:
        swap()
        return real(job, *args, **more)

    monkeypatch.setattr(processes, "carry_out", late)


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "file_read": ("file_read", {"path": "folder/deep/inner.txt"}),
    "list_dir": ("list_dir", {"path": "folder/deep"}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kernel", [None, LOOSE], ids=["this kernel", "without landlock"])
async def test_a_swap_at_the_last_moment(
    site: Site, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None], call: str, kernel: Confinement | None
) -> None:
    at_the_last_moment(monkeypatch, swap)
    result = await attempt(site.allowed(*CALLS[call], confinement=kernel))
    assert CANARY not in repr(result)
    if isinstance(result, ToolError):
        assert result.problem_code in ("path_changed", "not_found", "wrong_kind")
    else:
        assert call == "list_dir"
        assert [entry["name"] for entry in result["entries"]] == ["inner.txt"]


@pytest.mark.parametrize("call", CALLS)
async def test_a_swap_while_a_person_decides(site: Site, swap: Callable[[], None], call: str) -> None:
    result = await attempt(site.allowed(*CALLS[call], between=swap))
    assert CANARY not in repr(result)


@needs_confinement
@pytest.mark.parametrize(
    "command", ["cat folder/deep/inner.txt", "grep -r canary folder", "cat folder/deep/inner.txt | cat"]
)
async def test_a_command_cannot_follow_a_swap(
    site: Site, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None], command: str
) -> None:
    at_the_last_moment(monkeypatch, swap)
    assert CANARY not in repr(await attempt(site.command(command)))


async def test_an_approval_covers_the_place_and_not_the_name(site: Site) -> None:
    """The link led to one place when a person looked, and leads to another when the call is made."""
    first, second = site.outside / "first.txt", site.outside / "secret.txt"
    first.write_text("allowed")
    (site.home / "link").symlink_to(first)
    for name, args in (("file_read", {"path": "link"}), ("shell_exec_safe", {"command": "cat link"})):
        error = await attempt(site.allowed(name, args, between=lambda: replace(site.home / "link", second)))
        assert isinstance(error, ToolError)
        assert (error.problem_code, error.took_effect) == ("path_changed", False)
        replace(site.home / "link", first)


async def test_an_allowed_place_that_is_swapped_for_a_link(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    place = site.outside / "first.txt"
    place.write_text("allowed")
    at_the_last_moment(monkeypatch, lambda: replace(place, site.data / "secret.txt"))
    error = await attempt(site.allowed("file_read", {"path": str(place)}))
    assert isinstance(error, ToolError)
    assert error.problem_code == "path_changed"
