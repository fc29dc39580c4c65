"""Servers to prove something about."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.databases import Dialect, fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.redis import RedisServer
from tests.support.server import environment_for

Serve = Callable[..., ForkedServer]


@pytest.fixture
def serve(
    request: pytest.FixtureRequest, template: Template, migrated_template: str, shared_redis: RedisServer
) -> Iterator[Serve]:
    """Starts a server on an empty database: on PostgreSQL with Redis."""
    with ExitStack() as running:

        def start(dialect: Dialect, hole: str = "", *, is_open: bool = False) -> ForkedServer:
            settings = {"TESTS_HOLE": f"tests.e2e.isolation.holes:{hole}"} if hole else {}
            if dialect == "postgresql":
                settings["RETINUE_COORDINATION_URL"] = shared_redis.url
            return running.enter_context(_serving(request, template, dialect, settings, is_open=is_open))

        yield start


@contextmanager
def _serving(
    request: pytest.FixtureRequest, template: Template, dialect: Dialect, settings: dict[str, str], *, is_open: bool
) -> Iterator[ForkedServer]:
    folder = request.getfixturevalue("tmp_path_factory").mktemp("retinue")
    with fresh_database(request, dialect, folder, template="migrated_template") as url:
        environment = environment_for(url, **settings)
        if is_open:
            del environment["RETINUE_OPERATOR_KEY"]
        with forked_retinue(template, folder, environment) as server:
            yield server
