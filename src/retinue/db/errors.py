"""Database errors become the domain's.

Unavailable (503, retryable): the database cannot be reached, is overloaded, timed out or is locked; the same call may
    succeed later. A run that meets it decides itself how long to try again.
Conflict (409): a unique constraint that users can meet; the code says which.
NotFound (404): the row that a new one refers to is not there, or is another tenant's.
StorageFailed (500): everything else; a fault of ours or of the data.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa

from retinue.db.dialects.base import Dialect
from retinue.domain.errors import Conflict, NotFound, RetinueError, StorageFailed, Unavailable

DRIVER_ERRORS = (
    sa.exc.SQLAlchemyError,
    sa.exc.EmulatedDBAPIException,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
    OSError,  # refused and broken connections, and every timeout
    OverflowError,  # sqlite3's answer to an integer of more than 64 bits, which SQLAlchemy does not wrap
)

CONFLICTS: Mapping[str, tuple[str, str]] = {
    "uq_tenants_slug": ("slug_taken", "Another tenant has this slug."),
    "uq_employees_slug": ("slug_taken", "Another employee of this tenant has this slug."),
    "uq_conversations_external_id": ("external_id_taken", "Another conversation of this tenant has this external id."),
    "uq_budgets_subject": ("budget_exists", "There is such a budget: change it, or remove it first."),
    "uq_runs_active": ("conversation_busy", "A run is active in this conversation."),
}


@contextmanager
def translated(dialect: Dialect, missing: str = "") -> Iterator[None]:
    """Let no database exception out. `missing` tells the reader what a broken reference means.

    Raises:
        RetinueError: see above.
    """
    try:
        yield
    except DRIVER_ERRORS as error:
        raise domain_error(error, dialect, missing) from error


def domain_error(error: BaseException, dialect: Dialect, missing: str = "") -> RetinueError:
    """What is raised in place of one of `DRIVER_ERRORS`."""
    if isinstance(error, sa.exc.EmulatedDBAPIException) and error.orig is not None:
        error = error.orig  # raised where a connection cannot be opened
    driver_error = error.driver_exception if isinstance(error, sa.exc.DBAPIError) else error
    if dialect.is_refusal(driver_error):
        return _refusal(driver_error, dialect, missing)
    if dialect.is_outage(error):
        return Unavailable("The database cannot be reached or is too busy.", code="storage_unavailable")
    return StorageFailed()


def _refusal(error: BaseException, dialect: Dialect, missing: str) -> RetinueError:
    if dialect.is_missing_reference(error):
        return NotFound(missing)
    code, detail = CONFLICTS.get(dialect.violated_key(error) or "", ("", ""))
    return Conflict(detail, code=code) if code else StorageFailed()
