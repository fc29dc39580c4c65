"""On PostgreSQL `serve` wants two roles that keep tenants apart, and `migrate` makes them."""

from pathlib import Path

import pytest

from tests.e2e.contract.test_start import Refuses, refused, without
from tests.e2e.contract.wire import fetch
from tests.support.databases import Postgres
from tests.support.forking import Template, forked_retinue
from tests.support.roles import owner_url, superuser_url, url_as
from tests.support.server import environment_for, migrate

__all__ = ["refused"]

pytestmark = pytest.mark.slow


def test_migrate_names_what_it_lacks(tmp_path: Path, postgres: Postgres, refused: Refuses) -> None:
    environment = environment_for(postgres.url("nowhere"))
    lacking = without(environment, "RETINUE_DATABASE_JOBS_URL", "RETINUE_DATABASE_OWNER_URL")
    said = refused(tmp_path, lacking, "migrate")
    assert "RETINUE_DATABASE_OWNER_URL is missing" in said
    assert "RETINUE_DATABASE_JOBS_URL is missing" in said


def test_a_server_is_given_no_owner(tmp_path: Path, postgres: Postgres, template: Template) -> None:
    """The roles have new names: so it is `migrate` that creates them."""
    with postgres.database() as url:
        app, jobs = url_as("served_app:word", url), url_as("served_jobs:word", url)
        environment = environment_for(app) | {"RETINUE_DATABASE_JOBS_URL": jobs}
        migrate(tmp_path, environment)
        with forked_retinue(template, tmp_path, without(environment, "RETINUE_DATABASE_OWNER_URL")) as server:
            headers = {"authorization": f"Bearer {environment['RETINUE_OPERATOR_KEY']}"}
            assert fetch(server.address, "GET", "/api/v1/tenants", headers=headers).status == 200


def test_roles_that_would_not_keep_tenants_apart_are_refused(
    tmp_path: Path, postgres: Postgres, migrated_template: str, refused: Refuses
) -> None:
    with postgres.database(template=migrated_template) as url:
        environment = environment_for(url)
        owning = without(environment, "RETINUE_DATABASE_OWNER_URL") | {"RETINUE_DATABASE_URL": owner_url(url)}
        assert "retinue_owner owns tables" in refused(tmp_path, owning)
        mighty = environment | {"RETINUE_DATABASE_JOBS_URL": superuser_url(url)}
        assert "postgres is a superuser" in refused(tmp_path, mighty)
        unknown = environment | {"RETINUE_DATABASE_URL": url_as("nobody_knows", url)}
        assert "does not let the user of RETINUE_DATABASE_URL in" in refused(tmp_path, unknown)
