"""What must not stand anywhere in the tree."""

import re
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, files, relative

# The bars are taken out before use, so that this file does not hold what it looks for.
FORBIDDEN = {
    kind: pattern.replace("¦", "")
    for kind, pattern in {
        "a path of a machine that built this": r"/w¦ork/|/r¦oot/|/h¦ome/[a-z]|/o¦pt/|/t¦mp/(?:probe|brief)",
        "the host of a package index": r"py¦pi\.org|python¦hosted|extra-¦index-url|find-¦links",
        "unfinished work": r"\b(?:TO¦DO|FIX¦ME|XX¦X)\b",
        "a private key": r"BEGIN [A-Z ]*PRIV¦ATE KEY",
        "a key of a model provider": r"\bs¦k-(?:ant|proj)-[A-Za-z0-9_-]{20,}",
    }.items()
}


def found(pattern: str, path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    return [f"{relative(path)}: {hit[0]}" for hit in re.finditer(pattern, text)]


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_tree_is_free_of(kind: str) -> None:
    assert [hit for path in files() for hit in found(FORBIDDEN[kind], path)] == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a path of a machine that built this", "see /wo¦rk/main"),
        ("the host of a package index", "https://py¦pi.org/simple"),
        ("unfinished work", "# TO¦DO later"),
        ("a private key", "-----BEGIN EC PRIV¦ATE KEY-----"),
        ("a key of a model provider", "s¦k-proj-" + "a" * 24),
    ],
)
def test_words_are_found(kind: str, text: str) -> None:
    assert re.search(FORBIDDEN[kind], text.replace("¦", ""))


def test_the_walk_reaches_everything() -> None:
    seen = {relative(path) for path in files()}
    assert {"Makefile", ".ci/run", "config/default.toml", "src/retinue/__init__.py", "deploy/Dockerfile"} <= seen
    assert not any(name.startswith((".git/", ".venv/")) for name in seen)
    assert (ROOT / "pyproject.toml").is_file()
