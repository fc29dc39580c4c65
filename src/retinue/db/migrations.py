"""The schema's versions: bring a database to one, and tell which it has.

The scripts are in the folder `migrations/` beside `src/`. An image that installs the package elsewhere copies the
folder into its working directory. Every function opens a connection of its own and closes it again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from retinue.db.dialects.base import Dialect
from retinue.db.dialects.registry import dialect_for
from retinue.db.errors import translated
from retinue.domain.errors import InternalError

COMMAND_SECONDS = 600.0
"""Migrations may rewrite large tables."""

T = TypeVar("T")


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up. Does nothing if it is there; several processes may try at once.

    Raises:
        Unavailable: the database cannot be reached.
        StorageFailed: the migration failed; it was rolled back.
    """
    await _migrate(url, lambda config: command.upgrade(config, revision))


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
    return await _connected(url, lambda connection, _: MigrationContext.configure(connection).get_current_revision())


def head() -> str:
    """The revision that this version of Retinue needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def is_current(url: str) -> bool:
    """Whether the database has the schema that this version of Retinue needs."""
    return await current(url) == head()


async def _migrate(url: str, run: Callable[[Config], None]) -> None:
    def migrate(connection: sa.Connection, dialect: Dialect) -> None:
        config = _config()
        config.attributes.update(connection=connection, options=dialect.migration_options)
        dialect.prepare_migration(connection)
        run(config)
        dialect.check_migration(connection)

    await _connected(url, migrate)


async def _connected(url: str, work: Callable[[sa.Connection, Dialect], T]) -> T:
    parsed = sa.make_url(url)
    dialect = dialect_for(parsed)
    engine = dialect.create_engine(parsed, pool_size=1, command_timeout=COMMAND_SECONDS, migrates=True)
    try:
        with translated(dialect):
            async with engine.begin() as connection:
                return await connection.run_sync(work, dialect)
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
