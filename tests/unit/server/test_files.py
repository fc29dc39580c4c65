"""Connections of clients leave open files for everything else."""

import resource
from typing import Any

import pytest

from retinue.server.files import OTHERS, within_open_files
from retinue.settings import Settings

OWN = 100
CLIENTS = 1000


@pytest.fixture
def settings() -> Settings:
    settings = Settings()
    return settings.model_copy(
        update={
            "limits": settings.limits.model_copy(update={"connections": CLIENTS}),
            "runs": settings.runs.model_copy(update={"max_active": OWN - 10}),
            "database": settings.database.model_copy(update={"pool_size": 10}),
        }
    )


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the process is allowed, and could allow itself."""
    bounds = [256, 256]

    def change(_: int, changed: Any) -> None:
        assert changed[1] == bounds[1]
        assert changed[0] <= changed[1] or changed[1] == resource.RLIM_INFINITY
        bounds[:] = changed

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(bounds))
    monkeypatch.setattr(resource, "setrlimit", change)
    return bounds


@pytest.mark.parametrize("hard", [5000, resource.RLIM_INFINITY])
def test_the_process_allows_itself_what_it_needs(settings: Settings, bounds: list[int], hard: int) -> None:
    bounds[1] = hard
    assert within_open_files(settings) == settings
    assert bounds == [CLIENTS + OWN + OTHERS, hard]


def test_what_is_allowed_already_stays(settings: Settings, bounds: list[int]) -> None:
    bounds[:] = [9000, 9000]
    assert within_open_files(settings) == settings
    assert bounds == [9000, 9000]


@pytest.mark.parametrize(("hard", "connections"), [(1000, 1000 - OWN - OTHERS), (300, 150)])
def test_otherwise_clients_get_fewer(settings: Settings, bounds: list[int], hard: int, connections: int) -> None:
    bounds[1] = hard
    assert within_open_files(settings).limits.connections == connections
    assert bounds == [hard, hard]
