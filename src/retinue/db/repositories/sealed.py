"""Every place where the database holds what master keys have sealed."""

from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.crypto import Place, server_secret_place
from retinue.db import tables as t
from retinue.db.executor import Executor


class SealedColumn(msgspec.Struct, frozen=True, kw_only=True):
    table: type[t.Base]
    column: str
    key: str
    """The column that tells the rows apart, and orders them."""
    place: Callable[[Any], Place]
    """From a row's key to what its value is bound to."""

    @property
    def name(self) -> str:
        return str(self.table.__tablename__)

    @property
    def values(self) -> Any:
        return getattr(self.table, self.column)

    @property
    def keys(self) -> Any:
        return getattr(self.table, self.key)


class SealedValue(msgspec.Struct, frozen=True):
    key: Any
    sealed: bytes

    def __repr__(self) -> str:
        return f"SealedValue({self.key})"


def _api_key_place(tenant_id: UUID) -> Place:
    return Place(tenant=tenant_id, table="tenant_configs", column="sealed_api_key", row=tenant_id)


SEALED: tuple[SealedColumn, ...] = (
    SealedColumn(table=t.ServerSecret, column="sealed", key="name", place=server_secret_place),
    SealedColumn(table=t.TenantConfig, column="sealed_api_key", key="tenant_id", place=_api_key_place),
)
"""All of them: what is not here would be lost when an old master key is taken away. A test looks for others."""


class SealedValues:
    """Reads and replaces sealed values, whosesoever they are."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def page(self, column: SealedColumn, *, after: Any, limit: int) -> Sequence[SealedValue]:
        """In the order of their keys, those after the key `after`; None for the first."""
        statement = sa.select(column.keys.label("key"), column.values.label("sealed")).where(column.values.is_not(None))
        if after is not None:
            statement = statement.where(column.keys > after)
        rows = await self._executor.rows(statement.order_by(column.keys).limit(limit))
        return [SealedValue(row.key, row.sealed) for row in rows]

    async def replace(self, column: SealedColumn, value: SealedValue, sealed: bytes) -> bool:
        """False, and nothing changed, if the value is not what it was any more."""
        statement = sa.update(column.table).where(column.keys == value.key, column.values == value.sealed)
        return await self._executor.change(statement.values({column.column: sealed})) == 1

    async def count(self, column: SealedColumn, beginnings: Collection[bytes]) -> int:
        """How many begin with none of these bytes."""
        statement = sa.select(sa.func.count()).select_from(column.table).where(column.values.is_not(None))
        for each in beginnings:
            statement = statement.where(sa.func.substr(column.values, 1, len(each)) != each)
        counted: int = await self._executor.scalar(statement)
        return counted
