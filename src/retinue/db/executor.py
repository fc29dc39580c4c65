"""The one door through which every statement goes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retinue.db.dialects.base import Dialect
from retinue.db.errors import translated
from retinue.domain.errors import InternalError

Values = dict[str, Any] | list[dict[str, Any]]


class Executor:
    """Runs statements in one transaction. Whatever the database raises comes out as a domain error; see `db.errors`."""

    __slots__ = ("_connection", "_read_only", "dialect")

    def __init__(self, connection: AsyncConnection, dialect: Dialect, *, read_only: bool = False) -> None:
        self._connection = connection
        self._read_only = read_only
        self.dialect = dialect

    async def rows(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        return (await self._run(statement)).all()

    async def row(self, statement: sa.Executable) -> sa.Row[Any] | None:
        return (await self._run(statement)).first()

    async def scalar(self, statement: sa.Executable) -> Any:
        """The first column of the first row, or None."""
        return (await self._run(statement)).scalar()

    async def clock(self) -> datetime:
        """The database's present time."""
        moment: datetime = await self.scalar(sa.select(self.dialect.clock()))
        return moment

    async def change(self, statement: sa.Executable, values: Values | None = None, *, missing: str = "") -> int:
        """Run an insert, update or delete and count the rows it touched. `values` go into the columns of those names.

        Raises:
            NotFound: a row that the new one refers to is not there; `missing` is the detail.
            Conflict: a unique constraint forbids it.
        """
        return (await self._run(statement, values, missing=missing)).rowcount

    async def _run(
        self, statement: sa.Executable, values: Values | None = None, *, missing: str = ""
    ) -> sa.CursorResult[Any]:
        if self._read_only and not _only_reads(statement):
            raise InternalError("A unit that only reads was asked to write.")
        with translated(self.dialect, missing):
            if isinstance(values, list) and len(values) == 1:
                values = values[0]
            return await self._connection.execute(statement, values)


def _only_reads(statement: Any) -> bool:
    if isinstance(statement, sa.CompoundSelect):
        return all(_only_reads(part) for part in statement.selects)
    return isinstance(statement, sa.Select) and statement._for_update_arg is None  # noqa: SLF001
