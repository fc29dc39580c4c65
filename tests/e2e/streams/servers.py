"""Servers for these tests: some live as long as the session, some belong to one test that may stop or kill them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.support.databases import Dialect, fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.redis import RedisServer
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream


class Replicas(NamedTuple):
    """Where a client may knock: two processes on one PostgreSQL and one Redis, or twice the same process."""

    here: ForkedServer
    there: ForkedServer


@contextmanager
def one_server(request: pytest.FixtureRequest, dialect: Dialect, **settings: str) -> Iterator[ForkedServer]:
    """A process of its own on an empty database, with coordination in memory."""
    template: Template = request.getfixturevalue("template")
    fake: ThreadedUpstream = request.getfixturevalue("fake")
    folder = request.getfixturevalue("tmp_path_factory").mktemp("retinue")
    with (
        fresh_database(request, dialect, folder, template="migrated_template") as url,
        forked_retinue(template, folder, environment_for(url, allow=fake.address, **settings)) as server,
    ):
        yield server


@contextmanager
def two_servers(request: pytest.FixtureRequest, **settings: str) -> Iterator[Replicas]:
    """Two processes on one empty PostgreSQL and the Redis of this test process."""
    template: Template = request.getfixturevalue("template")
    fake: ThreadedUpstream = request.getfixturevalue("fake")
    redis: RedisServer = request.getfixturevalue("shared_redis")
    folders = request.getfixturevalue("tmp_path_factory")
    here, there = folders.mktemp("here"), folders.mktemp("there")
    settings = {"RETINUE_COORDINATION_URL": redis.url, **settings}
    with fresh_database(request, "postgresql", here, template="migrated_template") as url:
        environment = environment_for(url, allow=fake.address, **settings)
        with forked_retinue(template, here, environment) as one, forked_retinue(template, there, environment) as two:
            yield Replicas(one, two)


def server_with(*dialects: Dialect, **settings: str) -> pytest.MarkDecorator:
    """Gives the test an `own_server` with these settings."""
    params = [pytest.param((dialect, settings), id=dialect) for dialect in dialects]
    return pytest.mark.parametrize("own_server", params, indirect=True)


def replicas_with(**settings: str) -> pytest.MarkDecorator:
    """Gives the test `own_replicas` with these settings."""
    return pytest.mark.parametrize("own_replicas", [pytest.param(settings, id="replicas")], indirect=True)
