"""The files around the code agree with each other."""

import re
import subprocess
import tomllib

import pytest

from tests.architecture.tree import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, list[str]]:
    """Each locked package with the lines that belong to it, the first being `name==version ; marker`."""
    entries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (ROOT / name).read_text().splitlines():
        if not line.startswith(" "):
            lines = entries.setdefault(line.split("==")[0], [])
        lines.append(line.strip(" \\"))
    return entries


def asked(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;! ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_versions_and_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    for package, (first, *hashes) in locked(name).items():
        assert re.match(rf"{re.escape(package)}==[0-9][^ ]*", first)
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), package


def test_locks_cover_what_the_project_asks_for() -> None:
    runtime, development = (locked(name) for name in LOCKS)
    assert asked(PROJECT["project"]["dependencies"]) <= set(runtime)
    assert asked(PROJECT["dependency-groups"]["build"]) <= set(runtime)
    assert asked(PROJECT["dependency-groups"]["dev"]) <= set(development)
    assert {name: development.get(name) for name in runtime} == runtime, "run: make lock"


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets is not None
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  \x1b\[1m([a-z-]+)", shown, re.MULTILINE)) == set(targets[1].split())


def test_continuous_integration_runs_what_the_readme_says() -> None:
    assert re.search(r"\bmake test\b", (ROOT / ".ci/run").read_text())
    assert "make test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_readme_names_only_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named
    for target in {first or second for first, second in named}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_decisions_are_numbered_without_holes() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
    for path in (ROOT / "docs/decisions").glob("[0-9]*.md"):
        text = path.read_text()
        said = re.findall(r"^(?:## |\*\*)(Context|Decision|Consequences|Alternatives)\b", text, re.MULTILINE)
        assert said == ["Context", "Decision", "Consequences", "Alternatives"], path.name


def test_changelog_knows_the_version() -> None:
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "src/retinue/__init__.py").read_text())
    assert version is not None
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()
