"""Every test here runs where no settings lie about."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without config/default.toml."""
    monkeypatch.chdir(tmp_path)
