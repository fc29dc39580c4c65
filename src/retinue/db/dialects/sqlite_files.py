"""Connections to a SQLite file, as they have to be before anybody uses them."""

import asyncio
import sqlite3
from random import randrange
from time import monotonic
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

_log = structlog.get_logger(__name__)


def prepare_connections(engine: AsyncEngine, *, patience: float, migrates: bool) -> None:
    """Have every connection of the engine set up when it is made, and none given back in a transaction.

    Args:
        patience: seconds that a connection waits for other processes.
        migrates: transactions begin by themselves, and references are not followed.
    """

    @sa.event.listens_for(engine.sync_engine, "do_connect")
    def try_to_open(_dialect: object, _record: object, args: Any, options: dict[str, Any]) -> None:
        # aiosqlite leaves the thread of a connection that cannot be opened to itself; at the end of the process it then
        # speaks to a loop that is closed, and shows a traceback.
        await_only(asyncio.to_thread(lambda: sqlite3.connect(*args, **options).close()))

    @sa.event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun by us, not wherever the driver thinks fit
        cursor = connection.cursor()
        _write_ahead(cursor, patience)
        for pragma in (
            f"busy_timeout = {int(patience * 1000)}",
            "synchronous = NORMAL",
            "secure_delete = ON",  # what was deleted is overwritten, most of it at once; see `scrub` for the rest
            # A migration that rebuilds a table drops the old one, which would cascade.
            f"foreign_keys = {'OFF' if migrates else 'ON'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if migrates:

        @sa.event.listens_for(engine.sync_engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    @sa.event.listens_for(engine.sync_engine, "checkin")
    def refuse_unfinished(connection: Any, record: Any) -> None:
        if connection is not None and connection.driver_connection.in_transaction:
            _log.error("transaction_not_ended")
            record.invalidate()


def _write_ahead(cursor: Any, patience: float) -> None:
    """Switch the file to write-ahead logging, unless it is.

    Two connections that switch a new file at once each wait for the other's lock. So each waits for a short and random
    time only, lets go, and tries again.
    """
    deadline = monotonic() + patience
    while True:
        cursor.execute(f"PRAGMA busy_timeout = {randrange(10, 100)}")  # noqa: S311
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            if cursor.fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError:
            if monotonic() > deadline:
                raise
        if monotonic() > deadline:
            raise sqlite3.OperationalError("the database cannot be switched to write-ahead logging")
