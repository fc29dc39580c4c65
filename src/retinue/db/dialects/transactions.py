"""Transactions on a connection of asyncpg.

SQLAlchemy's connections are in autocommit and know nothing of them: so BEGIN and what belongs to it go in one round
trip, and the tenant is set for exactly one transaction.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import structlog

from retinue.domain.errors import StorageFailed

ROLLBACK_SECONDS = 5.0

_log = structlog.get_logger(__name__)


def beginning(tenant_id: UUID | None, *, read_only: bool, is_durable: bool) -> str:
    """The statements that a transaction begins with."""
    statements = ["BEGIN READ ONLY" if read_only else "BEGIN"]
    if tenant_id is not None:
        statements.append(f"SET LOCAL retinue.tenant_id = '{UUID(int=tenant_id.int)}'")
    if is_durable:  # an operator may have made other commits faster than safe
        statements.append("SET LOCAL synchronous_commit = on")
    return "; ".join(statements)


@asynccontextmanager
async def begun(driver: Any, begin: str) -> AsyncIterator[None]:
    """A transaction, committed on a clean exit. Whatever else happens, also on the way in and out, it is rolled back,
    or the connection is closed, which comes to the same.

    Raises:
        StorageFailed: a statement had failed and nobody said so; nothing was committed.
    """
    try:
        await driver.execute(begin)
        yield
        if await driver.execute("COMMIT") != "COMMIT":
            raise StorageFailed
    except BaseException:
        await _roll_back(driver)
        raise


async def _roll_back(driver: Any) -> None:
    if driver.is_closed():
        return
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):
            await driver.execute("ROLLBACK")
    except Exception:
        driver.terminate()
    except BaseException:
        driver.terminate()
        raise


def refuse_unfinished(driver: Any) -> None:
    """Close a connection that comes back inside a transaction, and so might still have a tenant."""
    if not driver.is_closed() and driver.is_in_transaction():
        _log.error("transaction_not_ended")
        driver.terminate()
