"""Where paths lead: the corpus, and what comes of each when it is really followed."""

import os
from pathlib import Path

import pytest

from retinue.domain.errors import ToolError
from retinue.domain.policy import Permission
from retinue.domain.tools import Effect, Risk
from retinue.runs.calls.gate import Allow, Ask, Deny, judge
from tests.unit.tools.workspace.conftest import CANARY, LOOSE, Site, attempt
from tests.unit.tools.workspace.corpus_paths import LINKS, PATHS, Fate


@pytest.fixture(autouse=True)
def _links(site: Site) -> None:
    for name, target in LINKS.items():
        (site.home / name).symlink_to(filled(target, site))


def filled(text: str, site: Site) -> str:
    names = {name: getattr(site, name) for name in ("home", "outside", "neighbour", "data", "root")}
    for name, value in {**names, "neighbour_name": site.neighbour.name, "own_root": "/proc/self/root"}.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def holds_hidden(place: str, site: Site) -> bool:
    """Other tenants' workspaces, or what their commands have at hand."""
    return str(site.root).startswith(place) or place == os.path.realpath("/tmp")


def ids(value: object) -> str:
    return ascii(value)[:40]


def test_the_corpus_is_large() -> None:
    assert len({path for path, _ in PATHS}) == len(PATHS) >= 120


@pytest.mark.parametrize(("path", "fate"), PATHS, ids=ids)
async def test_a_path_meets_its_fate(site: Site, path: str, fate: Fate) -> None:
    for name in ("file_read", "list_dir"):
        if fate == "invalid":
            with pytest.raises(ToolError, match=r"path|leads") as caught:
                await site.assessed(name, {"path": filled(path, site)})
            assert caught.value.took_effect is False
            continue
        assessment = await site.assessed(name, {"path": filled(path, site)})
        ruling = judge(assessment, Permission.WRITE)
        assert assessment.effect is Effect.READ
        match fate:
            case "refused":
                assert isinstance(ruling, Deny)
            case "asked":
                assert isinstance(ruling, Ask)
                assert assessment.scope == os.path.realpath(site.home / filled(path, site))
                assert assessment.scope in ruling.reason
                assert assessment.risk is Risk.LOW
            case "inside":
                assert isinstance(ruling, Allow)
                assert assessment.scope == ""


@pytest.mark.parametrize(("path", "fate"), [case for case in PATHS if case[1] != "invalid"], ids=ids)
async def test_nobody_gets_there_without_the_scope(site: Site, path: str, fate: Fate) -> None:
    """Whatever the assessment said: a call that is made with no scope reads inside, or nothing."""
    for name in ("file_read", "list_dir"):
        tool = site.tools()[name]
        result = await attempt(tool.run(tool.read({"path": filled(path, site)}), site.invocation()))
        if isinstance(result, ToolError):
            assert result.took_effect is False
            assert str(site.path) not in result.detail
        else:
            assert fate == "inside"
            assert CANARY not in repr(result)


@pytest.mark.parametrize("path", [path for path, fate in PATHS if fate == "asked"], ids=ids)
async def test_where_leaving_is_denied_nothing_is_asked(site: Site, path: str) -> None:
    assessment = await site.assessed("file_read", {"path": filled(path, site)}, outside="deny")
    assert isinstance(judge(assessment, Permission.WRITE), Deny)


@pytest.mark.parametrize(("path", "fate"), PATHS, ids=ids)
async def test_commands_meet_the_same_fate(site: Site, path: str, fate: Fate) -> None:
    quoted = "'" + filled(path, site) + "'"
    found = await attempt(site.assessed("shell_exec_safe", {"command": f"cat -- {quoted}"}))
    if isinstance(found, ToolError):
        assert (fate, found.problem_code) == ("invalid", "invalid_path")
        return
    if fate == "asked" and holds_hidden(os.path.realpath(site.home / filled(path, site)), site):
        fate = "refused"  # a command would go on to what lies beneath
    rulings = {"refused": Deny, "invalid": Deny, "asked": Ask, "inside": Allow}
    assert isinstance(judge(found, Permission.WRITE), rulings[fate])


async def test_a_neighbour_is_not_even_named(site: Site) -> None:
    assessment = await site.assessed("list_dir", {"path": str(site.neighbour)})
    assert assessment.refusal is not None
    assert site.neighbour.name not in assessment.refusal


async def test_hard_links_are_asked_for(site: Site) -> None:
    os.link(site.outside / "secret.txt", site.home / "linked.txt")
    for name, args in (("file_read", {"path": "linked.txt"}), ("shell_exec_safe", {"command": "cat linked.txt"})):
        assessment = await site.assessed(name, args)
        assert isinstance(judge(assessment, Permission.WRITE), Ask)
        assert assessment.scope == str(site.home / "linked.txt")


async def test_an_allowed_place_outside_is_reached(site: Site) -> None:
    read = await site.allowed("file_read", {"path": str(site.outside / "secret.txt")})
    assert read["content"] == CANARY
    listed = await site.allowed("list_dir", {"path": "../../outside"})
    assert [entry["name"] for entry in listed["entries"]] == ["secret.txt"]
    ran = await site.command(f"cat {site.outside}/secret.txt")
    assert ran["stdout"] == CANARY


async def test_without_landlock_links_are_refused_as_well(site: Site) -> None:
    tool = site.tools(LOOSE)["file_read"]
    with pytest.raises(ToolError) as caught:
        await tool.run(tool.read({"path": "to_secret"}), site.invocation())
    assert caught.value.problem_code == "path_changed"


async def test_a_workspace_that_is_a_link_is_not_used(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    (other.root / str(site.caller.tenant_id)).symlink_to(site.outside)
    tool = other.tools()["file_read"]
    invocation = site.invocation()
    with pytest.raises(ToolError):
        await tool.run(tool.read({"path": "secret.txt"}), invocation)


async def test_the_workspace_is_made_for_its_tenant_alone(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "new" / "root"
    await site.allowed("list_dir", {}, root=root)
    home = root / str(site.caller.tenant_id)
    assert home.stat().st_mode & 0o777 == 0o700
    assert root.stat().st_mode & 0o777 == 0o700
