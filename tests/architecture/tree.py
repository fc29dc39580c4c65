"""Where the project's own files are."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "retinue"

_GENERATED = {"build", "dist", "__pycache__", "node_modules"}


def files(start: Path = ROOT) -> Iterator[Path]:
    """Every file that belongs to the project; nothing generated, nothing hidden except `.ci`."""
    for path in sorted(start.iterdir()):
        hidden = path.name.startswith(".") and path.name not in {".ci", ".gitignore", ".dockerignore"}
        if hidden or path.name in _GENERATED or path.suffix in {".egg-info", ".pyc"} or ".sqlite3" in path.name:
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def modules(start: Path = SOURCE) -> Iterator[tuple[Path, ast.Module]]:
    """Every Python file below `start`, parsed."""
    for path in files(start):
        if path.suffix == ".py":
            yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
