"""The one door through which every statement goes."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from retinue.db.changes import Change, Outcome, R
from retinue.db.connection import Connection
from retinue.db.dialects.base import Dialect
from retinue.db.errors import DRIVER_ERRORS, domain_error, translated
from retinue.db.prepared import Asked, Prepared, Row, only_reads
from retinue.db.scripts import COMMIT, Course, Query, Script
from retinue.domain.errors import InternalError, StorageFailed

Values = dict[str, Any] | list[dict[str, Any]]
_READS = "A unit that only reads was asked to write."
_OVER = "A unit was asked something after what was said to be its last."


class Executor:
    """Runs statements in one transaction. Whatever the database raises comes out as a domain error; see `db.errors`."""

    __slots__ = ("_is_abandoned", "_is_over", "_read_only", "connection", "dialect")

    def __init__(self, connection: Connection, dialect: Dialect, *, read_only: bool = False) -> None:
        self.connection = connection
        self._read_only = read_only
        self.dialect = dialect
        self._is_over = False
        self._is_abandoned = False

    async def rows(self, statement: sa.Executable | Asked) -> Sequence[Row]:
        if isinstance(statement, Asked):
            return await self._fetch(statement)
        return (await self._run(statement)).all()

    async def row(self, statement: sa.Executable | Asked) -> Row | None:
        if isinstance(statement, Asked):
            return next(iter(await self._fetch(statement)), None)
        return (await self._run(statement)).first()

    async def scalar(self, statement: sa.Executable | Asked) -> Any:
        """The first column of the first row, or None."""
        if isinstance(statement, Asked):
            return next(iter(await self._fetch(statement)), (None,))[0]
        return (await self._run(statement)).scalar()

    async def plan_once(self) -> None:
        """From now on, plan statements without a look at their values: for those whose plan takes longer than to carry
        them out, and is the same for all values.
        """
        try:
            await self.dialect.plan_once(self.connection)
        except DRIVER_ERRORS as error:
            raise domain_error(error, self.dialect) from error
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def clock(self) -> datetime:
        """The database's present time."""
        moment: datetime = await self.scalar(sa.select(self.dialect.clock()))
        return moment

    async def change(self, statement: sa.Executable | Asked, values: Values | None = None, *, missing: str = "") -> int:
        """Run an insert, update or delete and count the rows it touched. `values` go into the columns of those names.

        Raises:
            NotFound: a row that the new one refers to is not there; `missing` is the detail.
            Conflict: a unique constraint forbids it.
        """
        if not isinstance(statement, Asked):
            return (await self._run(statement, values, missing=missing)).rowcount
        if values:
            statement = statement.setting(*values) if isinstance(values, list) else statement.setting(values)
        prepared, arguments = self._ready(statement)
        try:
            return await self.dialect.change(self.connection, prepared.sql, arguments)
        except DRIVER_ERRORS as error:
            raise domain_error(error, self.dialect, missing) from error
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def carry_out(self, change: Change[R]) -> R:
        """Carry out one change that could also be one of several."""
        if change.asked.prepared.returned:
            rows = await self._fetch(change.asked)
            return change.tell(Outcome(len(rows), rows[0] if rows else None))
        return change.tell(Outcome(await self.change(change.asked), None))

    async def together(self, changes: Sequence[Change[Any]], *, missing: str = "") -> list[Any]:
        """Carry out several changes, in as few round trips as the database allows; returns what each of them tells.

        They are independent: none sees what the others do, and no two touch the same row. If it raises, the transaction
        is lost.

        Raises:
            NotFound, Conflict: see `change`; or whatever one of them tells.
        """
        parts = [self._ready(change.asked) for change in changes]
        try:
            outcomes = await self.dialect.together(self.connection, parts)
        except DRIVER_ERRORS as error:
            raise domain_error(error, self.dialect, missing) from error
        except asyncio.CancelledError:
            await self._abandon()
            raise
        return [change.tell(outcome) for change, outcome in zip(changes, outcomes, strict=True)]

    async def perform(self, script: Script[R], *, missing: str = "", is_last: Callable[[], bool] = lambda: False) -> R:
        """Carry out a script, in as few round trips as the database allows. If it raises, the transaction is lost.

        Args:
            is_last: asked when the script has ended; if so, nothing may be asked any more, and the transaction may be
                committed in the same round trip.

        Raises:
            NotFound, Conflict: see `change`; or whatever the script raises.
        """
        try:
            return await self.dialect.perform(self.connection, self._course(script, is_last))
        except DRIVER_ERRORS as error:
            raise domain_error(error, self.dialect, missing) from error
        except asyncio.CancelledError:
            await self._abandon()
            raise

    def _course(self, script: Script[R], is_last: Callable[[], bool]) -> Course[R]:
        result = yield from self._spelled(script)
        if is_last() and not self._is_abandoned:
            self._is_over = True
            yield COMMIT
        return result

    def _spelled(self, script: Script[R]) -> Course[R]:
        found: Any = None
        try:
            while True:
                asked = script.send(found)
                if isinstance(asked, Asked):
                    prepared, arguments = self._ready(asked)
                    found = prepared.rows((yield Query(prepared.sql, arguments)))
                else:
                    outcomes = yield [self._ready(change.asked) for change in asked]
                    found = [change.tell(outcome) for change, outcome in zip(asked, outcomes, strict=True)]
        except StopIteration as end:
            result: R = end.value
            return result

    async def _fetch(self, asked: Asked) -> Sequence[Row]:
        prepared, arguments = self._ready(asked)
        try:
            return prepared.rows(await self.dialect.fetch(self.connection, prepared.sql, arguments))
        except DRIVER_ERRORS as error:
            raise domain_error(error, self.dialect) from error
        except asyncio.CancelledError:
            await self._abandon()
            raise

    async def _abandon(self) -> None:
        """Nobody knows how far the statement came. What goes through SQLAlchemy ends like this, too."""
        self._is_abandoned = True
        with translated(self.dialect):
            await self.connection.invalidate()

    def _ready(self, asked: Asked) -> tuple[Prepared, Sequence[Any]]:
        prepared = asked.prepared
        if self._is_over:
            raise InternalError(_OVER)
        if self._read_only and not prepared.only_reads:
            raise InternalError(_READS)
        try:
            return prepared, asked.arguments
        except Exception as error:  # whatever a column's type thinks of a value
            raise StorageFailed from error

    async def _run(
        self, statement: sa.Executable, values: Values | None = None, *, missing: str = ""
    ) -> sa.CursorResult[Any]:
        if self._is_over:
            raise InternalError(_OVER)
        if self._read_only and not only_reads(statement):
            raise InternalError(_READS)
        with translated(self.dialect, missing):
            if isinstance(values, list) and len(values) == 1:
                values = values[0]
            await self.connection.open()
            return await self.connection.sqlalchemy.execute(statement, values)
