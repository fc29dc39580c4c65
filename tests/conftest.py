"""What all tests share. The fixtures live by topic in `tests/support`."""

import gc
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.compiled import share_compiled_statements

pytest_plugins = (
    "tests.support.network",
    "tests.support.fixtures",
    "tests.support.loops",
    "tests.support.databases",
    "tests.support.redis",
    "tests.support.server",
    "tests.support.forking",
)

settings.register_profile("retinue", derandomize=True, deadline=None)
settings.load_profile("retinue")
share_compiled_statements()


_OF_MANY = ("contract/access", "contract/http", "contract/repositories", "unit/runs/acting", "unit/tools/workspace")
SLOW = [Path(__file__).parent / name for name in _OF_MANY]
"""Where each test has a database or processes of its own, and there are hundreds of them."""
_SERVERS = {"postgres", "shared_redis", "redis_server", "template"}
"""Fixtures that start one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on SQLite or in memory as well is slow where it needs a server."""
    for item in items:
        if any(folder in item.path.parents for folder in SLOW) or _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
        callspec = getattr(item, "callspec", None)
        if callspec is not None and {"postgresql", "redis"} & set(map(str, callspec.params.values())):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Thousands of tests are kept to the end: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
