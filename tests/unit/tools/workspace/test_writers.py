"""What copies, moves and links would really change, where no kernel looks after it."""

from pathlib import Path

import pytest

from retinue.domain.policy import Permission
from retinue.domain.tools import Assessment
from retinue.runs.calls.gate import Ask, Deny, judge
from retinue.tools.workspace.commands.classify import classify
from tests.unit.tools.workspace.conftest import LOOSE, Site


async def looked_at(site: Site, command: str) -> Assessment:
    return await site.assessed("shell_exec_safe", {"command": command}, confinement=LOOSE)


@pytest.mark.parametrize("command", ["cp notes.txt folder", "cp ./notes.txt folder/", "mv notes.txt folder"])
async def test_a_link_in_the_target_is_seen(site: Site, command: str) -> None:
    link = site.home / "folder" / "notes.txt"
    link.symlink_to(site.outside / "secret.txt")
    assert (await looked_at(site, command)).scope == f"{site.outside} (write)"
    link.unlink()
    link.symlink_to(site.data / "secret.txt")
    assert isinstance(judge(await looked_at(site, command), Permission.WRITE), Deny)


@pytest.mark.parametrize("command", ["ln -sf folder/inner.txt .", "ln folder/inner.txt .", "ln folder/inner.txt"])
async def test_links_are_made_in_the_target(site: Site, command: str) -> None:
    (site.home / "inner.txt").symlink_to(site.data / "secret.txt")
    assert isinstance(judge(await looked_at(site, command), Permission.WRITE), Deny)


async def test_a_file_named_like_an_option_is_a_target(site: Site) -> None:
    (site.home / "-").symlink_to(site.data / "secret.txt")
    assert isinstance(judge(await looked_at(site, "cp notes.txt -"), Permission.WRITE), Deny)


@pytest.mark.parametrize(
    "command", ["cp notes.txt folder", "cp notes.txt new", "mv notes.txt folder/", "ln -s a folder"]
)
async def test_ordinary_ones_are_asked_for_as_before(site: Site, command: str) -> None:
    assessment = await looked_at(site, command)
    assert isinstance(judge(assessment, Permission.WRITE), Ask)
    assert assessment.scope == ""


@pytest.mark.parametrize("option", ["-r", "-R", "-a", "-rf", "--recursive", "--archive"])
def test_whole_trees_are_copied_only_where_the_kernel_confines(option: str) -> None:
    assert classify(f"cp {option} folder other").is_open_ended
    assert not classify("cp notes.txt other").is_open_ended


@pytest.fixture
def twice(site: Site) -> Path:
    """`d` leads deep down, `folder/d` is a directory: the same text leads to two places."""
    (site.home / "a" / "b" / "c").mkdir(parents=True)
    (site.home / "folder" / "d").mkdir()
    (site.home / "d").symlink_to("a/b/c")
    return site.home


async def test_the_text_of_a_link_counts_from_the_link(site: Site, twice: Path) -> None:
    text = f"d/../../../{site.neighbour.name}/secret.txt"
    for command in (f"ln -s {text} folder/new", f"ln -s {text} folder", f"ln -sf {text} folder/inner.txt"):
        assert isinstance(judge(await looked_at(site, command), Permission.WRITE), Deny)
    assert (await looked_at(site, "ln -s ../notes.txt folder/new")).refusal is None
    assert (await looked_at(site, f"ln -s {site.outside}/x folder/new")).scope == f"{site.outside}/x"
