"""What all tests share. The fixtures live by topic in `tests/support`."""

import pytest
from hypothesis import settings

pytest_plugins = (
    "tests.support.network",
    "tests.support.fixtures",
    "tests.support.databases",
    "tests.support.redis",
    "tests.support.server",
)

settings.register_profile("retinue", derandomize=True, deadline=None)
settings.load_profile("retinue")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on SQLite or in memory as well is slow where it needs a server."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and {"postgresql", "redis"} & set(map(str, callspec.params.values())):
            item.add_marker("slow")
