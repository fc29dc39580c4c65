"""The database behind a server: what tests put there, and what they look for."""

from typing import Any, NamedTuple
from uuid import UUID

from tests.e2e.streams.store import connect_postgres, execute, is_sqlite, rows
from tests.support.server import RetinueServer

LONG_AGO = "2020-01-02 03:04:05.000000"


class Stocked(NamedTuple):
    """An order of the demo shop, as it lies in the database."""

    status: str
    discount_percent: int


def literal(server: RetinueServer, value: UUID | str) -> str:
    """An id as this database writes it."""
    found = UUID(str(value))
    return f"'{found.hex}'" if is_sqlite(server) else f"'{found}'"


def moment(server: RetinueServer) -> str:
    """Long ago, as this database writes it."""
    return f"'{LONG_AGO}'" if is_sqlite(server) else f"'{LONG_AGO}+00'"


async def stock(server: RetinueServer, tenant: UUID, **orders: str) -> None:
    """Put orders on the shelf by their number and status: `o1042="processing"`."""
    at = moment(server)
    for name, status in orders.items():
        fields = f"{literal(server, tenant)}, '{name[1:]}', 'Grace', 'Teapot', '{status}', 6490, 'EUR', 0"
        await execute(
            server,
            "INSERT INTO shop_orders (tenant_id, id, customer, item, status, total_cents, currency, discount_percent, "
            f"created_at, updated_at) VALUES ({fields}, {at}, {at})",
        )


async def order(server: RetinueServer, tenant: UUID, number: str) -> Stocked:
    statement = f"SELECT status, discount_percent FROM shop_orders WHERE tenant_id = {{}} AND id = '{number}'"
    [found] = await rows(server, statement, tenant)
    return Stocked(*found)


async def coupons(server: RetinueServer, tenant: UUID) -> list[tuple[str, int]]:
    found = await rows(server, "SELECT code, discount_percent FROM shop_coupons WHERE tenant_id = {}", tenant)
    return [(code, percent) for code, percent in found]


async def journal(server: RetinueServer, run: UUID | str) -> list[tuple[str, str, str | None]]:
    """Name, status and error of a run's calls, as the journal has them."""
    statement = "SELECT name, status, error FROM tool_calls WHERE run_id = {} ORDER BY position"
    return [(name, status, error) for name, status, error in await rows(server, statement, UUID(str(run)))]


async def move_back(server: RetinueServer, table: str, where: str, *columns: str, seconds: float) -> None:
    """Make moments older, so that nobody has to wait."""
    moved = [f"{name} = {_earlier(server, name, seconds)}" for name in columns]
    await execute(server, f"UPDATE {table} SET {', '.join(moved)} WHERE {where}")


def _earlier(server: RetinueServer, column: str, seconds: float) -> str:
    if is_sqlite(server):
        # As the server writes moments: six digits after the point.
        return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-{seconds:f} seconds') || '000'"
    return f"{column} - interval '{seconds:f} seconds'"


async def age_approval(server: RetinueServer, approval: str, *, seconds: float = 7200) -> None:
    """As if it had been asked for so much earlier."""
    where = f"id = {literal(server, approval)}"
    await move_back(server, "approvals", where, "requested_at", "expires_at", seconds=seconds)


async def age_conversation(server: RetinueServer, conversation: UUID, *, seconds: float) -> None:
    """As if everything in it had been said so much earlier."""
    mine = f"conversation_id = {literal(server, conversation)}"
    await move_back(server, "messages", mine, "created_at", "updated_at", seconds=seconds)
    await move_back(server, "runs", mine, "created_at", "started_at", "finished_at", seconds=seconds)
    where = f"id = {literal(server, conversation)}"
    await move_back(server, "conversations", where, "last_message_at", "reopened_at", seconds=seconds)


async def everything(server: RetinueServer) -> dict[str, str]:
    """All rows of all tables, as text; bytes in both Latin-1 and hexadecimal."""
    return {
        table: "\n".join(map(_row, await rows(server, f'SELECT * FROM "{table}"'))) for table in await _tables(server)
    }


async def _tables(server: RetinueServer) -> list[str]:
    if is_sqlite(server):
        return [name for (name,) in await rows(server, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    connection = await connect_postgres(server)
    try:
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [row[0] for row in found]
    finally:
        await connection.close()


def _row(values: tuple[Any, ...]) -> str:
    shown = (f"{value.decode('latin-1')} {value.hex()}" if isinstance(value, bytes) else str(value) for value in values)
    return "\t".join(shown)
