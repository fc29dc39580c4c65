"""A worker that takes another's place looks at its roles again."""

import pytest

from tests.e2e.server.test_workers import configuration, environment, has_said, server
from tests.e2e.server.waiting import eventually, workers_of
from tests.support.databases import Postgres
from tests.support.roles import APP
from tests.support.server import RetinueServer

__all__ = ["configuration", "environment", "server"]

pytestmark = pytest.mark.slow


def test_a_worker_does_not_serve_on_a_role_that_sees_all_tenants(server: RetinueServer, postgres: Postgres) -> None:
    postgres.execute(f"ALTER ROLE {APP} BYPASSRLS")
    try:
        workers_of(server)[0].kill()
        eventually(lambda: has_said(server, "worker_refused"))
        assert f"{APP} has BYPASSRLS" in server.output
    finally:
        postgres.execute(f"ALTER ROLE {APP} NOBYPASSRLS")
