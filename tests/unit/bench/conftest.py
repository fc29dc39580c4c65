"""Shared by the tests of the benchmark."""

import pytest


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services in this process answer at once or never."""
    monkeypatch.setattr("tests.bench.load.PATIENCE", 5.0)
