"""Which settings may start a server together."""

import pytest

from retinue.settings import Settings, check, check_migration, load
from retinue.settings.values import is_loopback
from tests.unit.settings.environments import CLOSED, OPERATOR_KEY, OWNER, POSTGRESQL, REDIS

APP = POSTGRESQL["RETINUE_DATABASE_URL"]


@pytest.mark.parametrize("url", ["redis://h", "redis://h/", "redis://:p@h:6379/15", "rediss://u:p@[::1]:6380/0"])
def test_urls_of_redis(url: str) -> None:
    assert load(environ={"RETINUE_COORDINATION_URL": url}).coordination.url == url


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"RETINUE_HOST": "0.0.0.0"}, "open mode"),
        (POSTGRESQL, "open mode"),
        ({"RETINUE_OPERATOR_KEY": OPERATOR_KEY}, "master keys are missing"),
        ({**CLOSED, "RETINUE_OPERATOR_KEY": "short"}, "at least 16"),
        ({**CLOSED, "RETINUE_OPERATOR_KEY": "sixteen chars and blanks"}, "visible ASCII"),
        ({**CLOSED, **REDIS, "RETINUE_WORKERS": "2"}, "2 workers (RETINUE_WORKERS) need PostgreSQL"),
        ({**CLOSED, **POSTGRESQL, "RETINUE_WORKERS": "3"}, "3 workers (RETINUE_WORKERS) need Redis"),
        ({**CLOSED, "RETINUE_DATABASE_URL": APP}, "RETINUE_DATABASE_JOBS_URL is missing"),
        ({**CLOSED, **POSTGRESQL, "RETINUE_DATABASE_JOBS_URL": APP}, "must name different users"),
        ({**CLOSED, **POSTGRESQL, "RETINUE_DATABASE_OWNER_URL": APP}, "must name different users"),
        ({**CLOSED, **POSTGRESQL, "RETINUE_DATABASE_JOBS_URL": "postgresql+asyncpg://h/d"}, "must name its user"),
        ({**CLOSED, **POSTGRESQL, "RETINUE_DATABASE_JOBS_URL": "sqlite+aiosqlite:///x"}, "must be a URL of PostgreSQL"),
        ({"RETINUE_DATABASE_JOBS_URL": APP}, "RETINUE_DATABASE_JOBS_URL is for PostgreSQL"),
        ({"RETINUE_DATABASE_OWNER_URL": APP}, "RETINUE_DATABASE_OWNER_URL is for PostgreSQL"),
        ({"RETINUE_LIMITS_CONTEXT_TOKENS": "4096"}, "limits.max_output_tokens"),
        ({"RETINUE_PROVIDER_TOTAL_SECONDS": "1"}, "provider.total_seconds"),
        ({"RETINUE_PROVIDER_MAX_DELAY_SECONDS": "0.1"}, "provider.max_delay_seconds"),
        ({"RETINUE_PROVIDER_MAX_TURN_BYTES": "10"}, "provider.max_turn_bytes"),
        ({"RETINUE_TOOLS_FETCH_SECONDS": "61"}, "tools.fetch_seconds"),
        ({"RETINUE_WORKSPACE_ENABLED": "true", "RETINUE_WORKSPACE_SECONDS": "61"}, "workspace.seconds"),
    ],
)
def test_combinations_that_may_not_start(environ: dict[str, str], reason: str) -> None:
    (told,) = check(load(environ=environ))
    assert reason in told


def test_a_server_needs_no_owner_and_a_migration_does() -> None:
    assert check(load(environ={**CLOSED, **POSTGRESQL})) == []
    (told,) = check_migration(load(environ=POSTGRESQL))
    assert "RETINUE_DATABASE_OWNER_URL is missing" in told
    assert check_migration(load(environ={**POSTGRESQL, **OWNER})) == []
    assert check_migration(Settings()) == []


def test_combinations_that_may_start() -> None:
    assert check(Settings()) == []
    assert check(load(environ={**CLOSED, "RETINUE_HOST": "0.0.0.0"})) == []
    assert check(load(environ={**CLOSED, **POSTGRESQL, **REDIS, "RETINUE_WORKERS": "4"})) == []
    assert check(load(environ={**CLOSED, **POSTGRESQL})) == []
    assert check(load(environ=REDIS)) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost.example", "10.0.0.1", "example.com", ""])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
