"""The jobs look after the engine's runs, in the engine's little world."""

from tests.unit.runs.conftest import database, patience, polling, quiet, world

__all__ = ["database", "patience", "polling", "quiet", "world"]
