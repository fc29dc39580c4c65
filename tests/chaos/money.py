"""A tenant that pays for its models, and what it may spend."""

import sqlite3
from contextlib import closing
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from retinue.domain.budgets import Budget, Reservation
from retinue.domain.conversations import Conversation
from tests.chaos.world import hire
from tests.e2e.streams.store import execute, is_sqlite, rows, sqlite_file
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream

TOKEN_MICROS = 10
"""What a token of output costs. Input costs nothing, so that sums can be foretold."""
ANSWER_TOKENS = 40
"""That an answer may have at most."""
WORST_MICROS = TOKEN_MICROS * ANSWER_TOKENS
CHUNK_MICROS = TOKEN_MICROS * 2
"""A word of the fake upstream has two tokens at most."""


class Purse(NamedTuple):
    """A tenant's budget for a day."""

    client: RetinueClient
    tenant: UUID
    budget: UUID

    async def now(self) -> Budget:
        answer = await self.client.get(f"/tenants/{self.tenant}/budgets/{self.budget}")
        return answer.expect(200).as_type(Budget)

    async def used(self) -> dict[str, Any]:
        """What the ledger adds up to."""
        rows = (await self.client.get(f"/usage?tenant_id={self.tenant}")).expect(200).json
        return {name: sum(row[name] or 0 for row in rows) for name in ("calls", "runs", "cost_micros")}


async def hire_for_money(
    client: RetinueClient, upstream: ThreadedUpstream, model: str, *, limit_micros: int, **config: Any
) -> tuple[Conversation, Purse]:
    """An employee whose model costs something, at a tenant that may spend so much."""
    conversation = await hire(client, upstream, model, max_output_tokens=ANSWER_TOKENS, **config)
    tenant = conversation.tenant_id
    price = {"provider": "openai", "model": model, "input_price": 0, "output_price": TOKEN_MICROS * 1_000_000}
    (await client.put(f"/tenants/{tenant}/prices", {"prices": [price]})).expect(200)
    body = {"subject": "tenant", "period": "month", "limit_micros": limit_micros}
    budget = (await client.post(f"/tenants/{tenant}/budgets", body)).expect(201).as_type(Budget)
    return conversation, Purse(client, tenant, budget.id)


async def held(server: ForkedServer) -> int:
    """What the open calls hold, as the ledger has it; the server need not live."""
    found = await rows(server, "SELECT reservations FROM ledger WHERE outcome = 'open' AND reservations IS NOT NULL")
    lists = [msgspec.json.decode(text, type=list[Reservation]) for (text,) in found]
    return sum(reservation.micros for each in lists for reservation in each)


async def forget_conversations(server: ForkedServer) -> None:
    """All of them, with their runs, while nobody is there to notice."""
    if not is_sqlite(server):
        await execute(server, "DELETE FROM conversations")
        return
    with closing(sqlite3.connect(sqlite_file(server), isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM conversations")
