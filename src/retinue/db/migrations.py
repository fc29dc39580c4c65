"""The schema's versions: bring a database to one, and tell which it has.

The scripts are in the folder `migrations/` beside `src/`. An image that installs the package elsewhere copies the
folder into its working directory. Every function opens a connection of its own and closes it again.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from retinue.db.dialects.base import Dialect
from retinue.db.dialects.registry import dialect_for
from retinue.db.errors import translated
from retinue.db.row_security import Roles, create_missing
from retinue.domain.errors import InternalError

COMMAND_SECONDS = 600.0
"""Migrations may rewrite large tables."""

T = TypeVar("T")


async def upgrade(url: str, revision: str = "head", *, roles: Roles | None = None) -> None:
    """Bring the schema up. Does nothing if it is there; several processes may try at once.

    On PostgreSQL the newest schema is left to these roles, which are created if they are not there, and to the user of
    this URL, who owns it. Without roles nobody else may serve it.

    Raises:
        Unavailable: the database cannot be reached.
        RolesUnusable: a role is not there and cannot be created.
        StorageFailed: the migration failed; it was rolled back.
    """
    if roles is not None:
        await _with_engine(url, lambda engine, _: create_missing(engine, roles))
    await _migrate(url, lambda config: command.upgrade(config, revision), roles)


async def downgrade(url: str, revision: str) -> None:
    """Take the schema down to a revision; `base` empties the database.

    Raises:
        Unavailable, StorageFailed: see `upgrade`.
    """
    await _migrate(url, lambda config: command.downgrade(config, revision))


async def current(url: str) -> str | None:
    """The revision that the database has; None for an empty one.

    Raises:
        Unavailable: the database cannot be reached.
    """
    return await _connected(url, _revision)


def head() -> str:
    """The revision that this version of Retinue needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def is_current(url: str) -> bool:
    """Whether the database has the schema that this version of Retinue needs."""
    return await current(url) == head()


def _revision(connection: sa.Connection, dialect: Dialect) -> str | None:
    """None also for those who may not know: the schema is older than their role."""
    if not dialect.may_read(connection, "alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


async def _migrate(url: str, run: Callable[[Config], None], roles: Roles | None = None) -> None:
    def migrate(connection: sa.Connection, dialect: Dialect) -> None:
        config = _config()
        config.attributes.update(connection=connection, options=dialect.migration_options)
        dialect.prepare_migration(connection)
        run(config)
        dialect.check_migration(connection)
        if _revision(connection, dialect) == head():
            dialect.secure(connection, roles)

    await _connected(url, migrate)


async def _connected(url: str, work: Callable[[sa.Connection, Dialect], T]) -> T:
    async def connect(engine: AsyncEngine, dialect: Dialect) -> T:
        async with engine.begin() as connection:
            return await connection.run_sync(work, dialect)

    return await _with_engine(url, connect)


async def _with_engine(url: str, work: Callable[[AsyncEngine, Dialect], Awaitable[T]]) -> T:
    parsed = sa.make_url(url)
    dialect = dialect_for(parsed)
    engine = dialect.create_engine(parsed, pool_size=1, command_timeout=COMMAND_SECONDS, migrates=True)
    try:
        with translated(dialect):
            return await work(engine, dialect)
    finally:
        await engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    return config


def _folder() -> Path:
    for root in (Path(__file__).parents[3], Path.cwd()):
        if (root / "migrations" / "env.py").is_file():
            return root / "migrations"
    raise InternalError("The folder `migrations` is neither beside `src` nor in the working directory.")
