"""Rotating master keys from the command line, beside servers that go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from retinue.app.keys import open_keyring, sqlite_file
from retinue.crypto import Keyring
from retinue.db import migrations
from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from retinue.jobs.rotation import Rotation, Standing, rotate, standing
from retinue.settings import Settings


class NoDatabase(RetinueError):
    """There is no database with the newest schema; the detail says what to do."""


async def rotate_keys(settings: Settings) -> Rotation:
    """Wrap everything under the first of the master keys; see `jobs.rotation.rotate`.

    Raises:
        KeyFileUnusable, NoDatabase, Unavailable, StorageFailed.
    """
    async with _opened(settings) as (database, keyring):
        return await rotate(database, keyring)


async def check_keys(settings: Settings) -> Standing:
    """Which master keys are still needed. Raises: as `rotate_keys`."""
    async with _opened(settings) as (database, keyring):
        return await standing(database, keyring)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, Keyring]]:
    file = sqlite_file(settings.database.url)
    if file is not None and not file.exists():
        raise NoDatabase(f"There is no database {file}.")
    if not await migrations.is_current(settings.database.url):
        raise NoDatabase("The database schema is not current. Run `retinue migrate` first.")
    keyring = open_keyring(settings)
    database = Database.connect(
        settings.database.url,
        jobs_url=settings.database.jobs_url,
        pool_size=1,
        command_timeout=settings.database.command_timeout,
    )
    try:
        yield database, keyring
    finally:
        await database.aclose()
