"""The contracts in pyproject.toml hold, and each of them notices a violation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, SOURCE

LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the package below `root` and not over the installed one."""
    command = [sys.executable, "-c", LINT, "--no-cache", "--config", str(root / "pyproject.toml")]
    return subprocess.run(command, cwd=root / "src", capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "src" / "retinue", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_are_kept() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("domain/odd.py", "import retinue.db", "A module imports only from layers below its own"),
        ("providers/odd.py", "import retinue.db", "A module imports only from layers below its own"),
        ("runs/odd.py", "import retinue.http", "A module imports only from layers below its own"),
        ("odd/__init__.py", "", "A module imports only from layers below its own"),
        ("runs/odd.py", "import litestar", "Only the edge knows HTTP servers and frameworks"),
        ("protocols/odd.py", "import sse_starlette.sse", "Only the edge knows HTTP servers and frameworks"),
        ("jobs/odd.py", "import hypercorn.config", "Only the edge knows HTTP servers and frameworks"),
        ("runs/odd.py", "import sqlalchemy.orm", "Only db speaks SQL"),
        ("resources/odd.py", "import openai", "Only providers know the vendors' SDKs"),
        ("runs/odd.py", "import anthropic.types", "Only providers know the vendors' SDKs"),
        ("db/odd.py", "import redis.asyncio", "Only coordination knows Redis"),
        ("http/odd.py", "from retinue.settings import Settings", "Settings are handed down, not imported"),
    ],
)
def test_a_violation_is_noticed(copy: Path, module: str, line: str, contract: str) -> None:
    odd = copy / "src" / "retinue" / module
    odd.parent.mkdir(exist_ok=True)
    odd.write_text(f'"""A module that breaks a contract."""\n\n{line}\n')
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    assert f"{contract} BROKEN" in result.stdout
