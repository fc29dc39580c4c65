"""The usage ledger."""

from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.errors import StorageFailed
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome, Run
from retinue.domain.usage import Usage
from tests.contract.repositories.builders import COST, LATER, NOON, USAGE, a_run, an_entry

CLOSING: dict[str, Any] = {"outcome": CallOutcome.COMPLETED, "usage": USAGE, "cost": COST, "error_code": None}


@pytest.fixture
async def run(database: Database, conversation: Conversation) -> Run:
    run = a_run(conversation)
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="me", lease_seconds=30)
    return run


async def test_an_entry_is_opened_and_closed_once(database: Database, run: Run) -> None:
    entry = an_entry(run)
    closed = msgspec.structs.replace(entry, **CLOSING, closed_at=LATER)
    async with database.unit(run.tenant_id) as unit:
        await unit.ledger.open(entry)
        assert await unit.ledger.list(run.id) == [entry]
        assert await unit.ledger.close(entry.id, **CLOSING, at=LATER)
        assert not await unit.ledger.close(entry.id, **{**CLOSING, "outcome": CallOutcome.FAILED}, at=NOON)
        assert not await unit.ledger.close(new_id(), **CLOSING, at=NOON)
        assert await unit.ledger.list(run.id) == [closed]


async def test_unknown_is_not_zero(database: Database, run: Run) -> None:
    entries = [an_entry(run, tries=tries) for tries in (1, 2)]
    async with database.unit(run.tenant_id) as unit:
        for entry, usage in zip(entries, (None, Usage()), strict=True):
            await unit.ledger.open(entry)
            await unit.ledger.close(
                entry.id, outcome=CallOutcome.ABORTED, usage=usage, cost=None, error_code="cancelled", at=LATER
            )
        stored = await unit.ledger.list(run.id)
    assert [entry.usage for entry in stored] == [None, Usage()]
    assert [entry.cost for entry in stored] == [None, None]


async def test_a_number_that_no_column_holds_is_a_failure_of_storage(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        with pytest.raises(StorageFailed):
            await unit.ledger.open(msgspec.structs.replace(an_entry(run), usage=Usage(input_tokens=2**63)))


async def test_what_a_lost_process_left_open_is_closed(database: Database, run: Run) -> None:
    done, left = an_entry(run), an_entry(run, tries=2)
    async with database.unit(run.tenant_id) as unit:
        await unit.ledger.open(done)
        await unit.ledger.open(left)
        await unit.ledger.close(done.id, **CLOSING, at=LATER)
        lost: dict[str, Any] = {"outcome": CallOutcome.ABORTED, "usage": None, "cost": None}
        lost |= {"error_code": "process_lost", "at": LATER}
        opened = [entry.id for entry in await unit.ledger.list(run.id) if entry.outcome is CallOutcome.OPEN]
        assert [await unit.ledger.close(entry_id, **lost) for entry_id in opened] == [True]
        assert [await unit.ledger.close(entry_id, **lost) for entry_id in opened] == [False]
        stored = await unit.ledger.list(run.id)
    assert [(entry.outcome, entry.error_code) for entry in stored] == [
        (CallOutcome.COMPLETED, None),
        (CallOutcome.ABORTED, "process_lost"),
    ]
