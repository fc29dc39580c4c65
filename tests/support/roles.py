"""The three roles of a database on PostgreSQL, as a test needs them: who has the URL of one has those of the others.

SQLite knows no roles; there every URL is the same.
"""

from typing import Any
from urllib.parse import urlsplit

from retinue.db import migrations
from retinue.db.row_security import Roles
from retinue.db.session import Database

OWNER, APP, JOBS = "retinue_owner", "retinue_app", "retinue_jobs"
SUPERUSER = "postgres"


def is_postgresql(url: str) -> bool:
    return url.startswith("postgresql")


def owner_url(url: str) -> str:
    return url_as(OWNER, url)


def jobs_url(url: str) -> str:
    """Empty for SQLite."""
    return url_as(JOBS, url) if is_postgresql(url) else ""


def superuser_url(url: str) -> str:
    """For a look past everything."""
    return url_as(SUPERUSER, url)


def url_as(role: str, url: str) -> str:
    if not is_postgresql(url):
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()


def open_database(url: str, **options: Any) -> Database:
    """Retinue's own view of a database, given the application's URL."""
    return Database.connect(url, jobs_url=jobs_url(url), **options)


def open_as_superuser(url: str, **options: Any) -> Database:
    """The same view, of somebody from whom PostgreSQL keeps nothing."""
    return Database.connect(superuser_url(url), jobs_url=superuser_url(url) if is_postgresql(url) else "", **options)


async def upgrade(url: str, revision: str = "head") -> None:
    """As `retinue migrate` does it, given the application's URL."""
    roles = Roles.of(url, jobs_url(url)) if is_postgresql(url) else None
    await migrations.upgrade(owner_url(url), revision, roles=roles)


def database_variables(url: str) -> dict[str, str]:
    """The environment that names the database."""
    if not is_postgresql(url):
        return {"RETINUE_DATABASE_URL": url}
    return {
        "RETINUE_DATABASE_URL": url,
        "RETINUE_DATABASE_JOBS_URL": jobs_url(url),
        "RETINUE_DATABASE_OWNER_URL": owner_url(url),
    }


async def downgrade(url: str, revision: str) -> None:
    await migrations.downgrade(owner_url(url), revision)
