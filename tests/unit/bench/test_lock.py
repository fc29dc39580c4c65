"""What the group `bench` adds to the environment, and that it changes nothing there."""

import re

from tests.architecture.test_project_files import PROJECT, asked, locked
from tests.architecture.tree import ROOT

LOCK, DEVELOPMENT = locked("requirements-bench.lock"), locked("requirements-dev.lock")


def test_it_has_versions_and_hashes() -> None:
    assert "://" not in (ROOT / "requirements-bench.lock").read_text()
    for package, (first, *hashes) in LOCK.items():
        assert re.match(rf"{re.escape(package)}==[0-9][^ ]*", first)
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), package


def test_it_covers_its_group() -> None:
    assert asked(PROJECT["dependency-groups"]["bench"]) <= set(LOCK)


def test_what_is_there_already_stays_as_it_is() -> None:
    """Markers may differ, versions may not."""
    both = set(LOCK) & set(DEVELOPMENT)
    assert {name: LOCK[name][0].split()[0] for name in both} == {
        name: DEVELOPMENT[name][0].split()[0] for name in both
    }, "run: make lock"


def test_nobody_else_needs_it() -> None:
    assert not {"fastapi", "uvicorn"} & set(DEVELOPMENT)
