"""The audit trail: chained, complete, and written by nobody twice."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from retinue.db.repositories.audit import AuditRepository
from retinue.db.session import Database
from retinue.domain.audit import GENESIS, SYSTEM, Actor, AuditEntry, Verdict, acting, entry_hash
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, InternalError, StorageFailed
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import NOON, an_employee
from tests.support.roles import open_as_superuser

OPERATOR = Actor(kind="operator", id="root", request_id="r-1")


async def record(audit: AuditRepository, number: int = 1, **changes: Any) -> AuditEntry:
    fields = {"object_type": "employee", "object_id": f"e{number}", "payload": {"n": number}, **changes}
    await audit.record(fields.pop("action", "employee.created"), **fields)
    return (await audit.list(limit=1))[0]


async def trail(database: Database, tenant: Tenant, **filters: Any) -> list[AuditEntry]:
    async with database.unit(tenant.id, read_only=True) as unit:
        return list(await unit.audit.list(limit=100, **filters))


async def verdict(database: Database, tenant: Tenant) -> Verdict:
    async with database.unit(tenant.id, read_only=True) as unit:
        return await unit.audit.verify()


async def test_an_entry_says_who_did_what_to_what(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        before = await unit.clock()
        entry = await record(unit.audit, actor=OPERATOR, payload={"fields": ["name"], "x": None})
        after = await unit.clock()
    assert before - timedelta(milliseconds=1) < entry.at <= after
    assert entry.at.microsecond % 1000 == 0
    assert entry == AuditEntry(
        tenant_id=tenant.id,
        seq=1,
        id=entry.id,
        at=entry.at,
        actor="operator:root",
        action="employee.created",
        object_type="employee",
        object_id="e1",
        request_id="r-1",
        payload={"fields": ["name"], "x": None},
        previous=GENESIS,
        hash=entry_hash(entry),
    )
    assert await trail(database, tenant) == [entry]


async def test_whoever_acts_is_named_unless_somebody_else_is(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        assert (await record(unit.audit)).actor == SYSTEM.name
        token = acting.set(OPERATOR)
        try:
            by_context = await record(unit.audit)
            by_name = await record(unit.audit, actor=Actor(kind="anonymous"))
        finally:
            acting.reset(token)
    assert (by_context.actor, by_context.request_id) == ("operator:root", "r-1")
    assert (by_name.actor, by_name.request_id) == ("anonymous", None)


async def test_each_entry_follows_the_one_before(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        made = [await record(unit.audit, number) for number in range(3)]
    async with database.unit(neighbour.id) as unit:
        assert (await record(unit.audit)).previous == GENESIS
    async with database.unit(tenant.id) as unit:
        made.append(await record(unit.audit))
    assert [entry.seq for entry in made] == [1, 2, 3, 4]
    assert [entry.previous for entry in made] == [GENESIS, *(entry.hash for entry in made[:-1])]
    assert await trail(database, tenant) == made[::-1]
    assert await verdict(database, tenant) == Verdict(is_valid=True, entries=4, head=made[-1].hash)


async def test_an_empty_chain_is_sound(database: Database, tenant: Tenant) -> None:
    assert await verdict(database, tenant) == Verdict(is_valid=True, entries=0, head=GENESIS)


async def test_what_was_undone_leaves_no_gap(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await record(unit.audit)
    with suppress(ZeroDivisionError):
        async with database.unit(tenant.id) as unit:
            await record(unit.audit)
            raise ZeroDivisionError
    async with database.unit(tenant.id) as unit:
        assert (await record(unit.audit)).seq == 2
    assert (await verdict(database, tenant)).is_valid


async def test_all_that_a_transaction_records_is_written_at_its_end(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        for number in range(3):
            await unit.audit.record("x.done", object_type="x", object_id=str(number), payload={"n": number})
    async with database.unit(tenant.id) as unit:
        await unit.audit.record("x.done", object_type="x", object_id="3")
    entries = await trail(database, tenant)
    assert [(entry.seq, entry.object_id) for entry in entries] == [(4, "3"), (3, "2"), (2, "1"), (1, "0")]
    assert await verdict(database, tenant) == Verdict(is_valid=True, entries=4, head=entries[0].hash)


async def test_what_cannot_be_recorded_does_not_happen(
    database: Database, tenant: Tenant, conversation: Conversation, migrated_url: str
) -> None:
    almighty = open_as_superuser(migrated_url)
    async with almighty.unit(tenant.id) as unit:
        await record(unit.audit)
        await unit.audit.flush()
        await unit._executor.change(sa.text("DELETE FROM audit_heads"))
    await almighty.aclose()

    async def delete() -> None:
        async with database.unit(tenant.id) as unit:
            await unit.audit.record("conversation.deleted", object_type="conversation", object_id="1")
            await unit.conversations.delete(conversation.id)

    with pytest.raises(StorageFailed):
        await delete()
    async with database.unit(tenant.id) as unit:
        assert await unit.conversations.get(conversation.id) == conversation


async def test_what_failed_is_told_as_it_was(database: Database, tenant: Tenant, employee: Employee) -> None:
    """PostgreSQL would take nothing more in this transaction."""

    async def hire() -> None:
        async with database.unit(tenant.id) as unit:
            await unit.audit.record("employee.created", object_type="employee", object_id="1")
            await unit.employees.add(an_employee(tenant, slug=employee.slug))

    with pytest.raises(Conflict):
        await hire()
    assert await trail(database, tenant) == []


async def test_a_reading_unit_records_nothing(database: Database, tenant: Tenant) -> None:
    with pytest.raises(InternalError):
        async with database.unit(tenant.id, read_only=True) as unit:
            await unit.audit.record("x.done", object_type="x", object_id="1")
    assert await trail(database, tenant) == []


@pytest.mark.parametrize("entries_before", [0, 1], ids=["the first ones", "later ones"])
async def test_what_is_recorded_at_once_forms_one_chain(
    database: Database, tenant: Tenant, entries_before: int
) -> None:
    async def act(number: int) -> None:
        async with database.unit(tenant.id) as unit:
            await unit.employees.list(limit=1)
            await unit.audit.record("employee.created", object_type="employee", object_id=str(number))

    await asyncio.gather(*(act(number) for number in range(entries_before)))
    await asyncio.gather(*(act(number) for number in range(40)))
    total = entries_before + 40
    assert [entry.seq for entry in await trail(database, tenant)] == list(range(total, 0, -1))
    found = await verdict(database, tenant)
    assert (found.is_valid, found.entries) == (True, total)


async def test_recording_does_not_disturb_who_verifies(database: Database, tenant: Tenant) -> None:
    async def act(number: int) -> Verdict:
        if number % 2:
            return await verdict(database, tenant)
        async with database.unit(tenant.id) as unit:
            await record(unit.audit, number)
        return await verdict(database, tenant)

    verdicts = await asyncio.gather(*(act(number) for number in range(40)))
    assert all(found.is_valid for found in verdicts)


async def test_a_long_chain_is_walked_in_pages(
    database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retinue.db.repositories.audit._PAGE_ROWS", 3)
    async with database.unit(tenant.id) as unit:
        for number in range(1, 8):
            made = await record(unit.audit, number)
            assert await unit.audit.verify() == Verdict(is_valid=True, entries=number, head=made.hash)


async def test_whatever_is_recorded_can_be_verified(database: Database, tenant: Tenant) -> None:
    payload = {
        "z": 1,
        "a": {"y": 1e16, "x": 0.1, "b": [True, None]},
        "id": tenant.id,
        "at": NOON,
        "text": "ü \x00 \x1f \ud800",
        "words": (OPERATOR.kind,),
        "big": 2**63,
    }
    actor = Actor(kind="operator", id="a\x00\ud800", request_id="\x00")
    async with database.unit(tenant.id) as unit:
        entry = await record(unit.audit, actor=actor, object_id="\x00ü", action="a\ud800", payload=payload)
        await record(unit.audit, object_type="\x00", payload=None)
    assert (await trail(database, tenant))[1] == entry
    assert (await verdict(database, tenant)).is_valid
    assert entry.payload["text"] == "ü \ufffd \x1f \ufffd"


async def test_the_trail_is_filtered_and_goes_on(database: Database, tenant: Tenant) -> None:
    kinds: list[dict[str, Any]] = [
        {"action": "employee.created"},
        {"action": "employee.deleted", "actor": OPERATOR},
        {"object_type": "run"},
        {"actor": OPERATOR, "object_type": "run", "object_id": "other"},
    ]
    async with database.unit(tenant.id) as unit:
        made = [await record(unit.audit, number, **kinds[number % 4]) for number in range(8)][::-1]
        assert await unit.audit.list(limit=3) == made[:3]
        assert await unit.audit.list(limit=3, after=made[2].seq) == made[3:6]
    assert await trail(database, tenant, action="employee.deleted") == [made[2], made[6]]
    assert await trail(database, tenant, object_type="run") == [made[0], made[1], made[4], made[5]]
    assert await trail(database, tenant, object_type="run", object_id="e2") == [made[5]]
    assert await trail(database, tenant, actor=OPERATOR.name, after=made[2].seq) == [made[4], made[6]]
    assert await trail(database, tenant, actor="nobody") == []


async def test_the_trail_is_filtered_by_time(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        entry = await record(unit.audit)
    instant, step = entry.at, timedelta(microseconds=1)
    assert await trail(database, tenant, since=instant) == [entry]
    assert await trail(database, tenant, since=instant - step) == [entry]
    assert await trail(database, tenant, since=instant + step) == []
    assert await trail(database, tenant, until=instant + step) == [entry]
    assert await trail(database, tenant, until=instant) == []
    assert await trail(database, tenant, until=instant - step) == []
    assert await trail(database, tenant, since=instant - timedelta(days=1), until=instant + timedelta(days=1))


async def test_the_operator_has_a_chain_of_its_own(database: Database, tenant: Tenant) -> None:
    async with database.operator() as operator:
        await operator.audit.record("tenant.created", object_type="tenant", object_id=str(tenant.id))
    async with database.operator() as operator:
        assert [entry.tenant_id.int for entry in await operator.audit.list(limit=9)] == [0]
        assert (await operator.audit.verify()).entries == 1
    assert await trail(database, tenant) == []


async def test_a_trail_survives_its_tenant(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        first = await record(unit.audit)
    async with database.operator() as operator:
        await operator.tenants.delete(tenant.id)
    async with database.unit(tenant.id) as unit:
        second = await record(unit.audit)
    assert await trail(database, tenant) == [second, first]
    assert (await verdict(database, tenant)).is_valid


CHANGES = {
    "update": "UPDATE audit_entries SET actor = 'x'",
    "update to the same": "UPDATE audit_entries SET actor = actor",
    "delete": "DELETE FROM audit_entries",
    "upsert": "INSERT INTO audit_entries SELECT * FROM audit_entries WHERE true "
    "ON CONFLICT (tenant_id, seq) DO UPDATE SET actor = 'x'",
}
SQLITE_CHANGES = {**CHANGES, "replace": "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries"}
POSTGRESQL_CHANGES = {**CHANGES, "truncate": "TRUNCATE audit_entries"}


@pytest.mark.parametrize(
    ("migrated_url", "statement"),
    [
        *(pytest.param("sqlite", statement, id=f"sqlite, {kind}") for kind, statement in SQLITE_CHANGES.items()),
        *(pytest.param("postgresql", text, id=f"postgresql, {kind}") for kind, text in POSTGRESQL_CHANGES.items()),
    ],
    indirect=["migrated_url"],
)
async def test_the_database_refuses_to_change_the_trail(database: Database, tenant: Tenant, statement: str) -> None:
    async with database.unit(tenant.id) as unit:
        entry = await record(unit.audit)
    with pytest.raises(StorageFailed):
        async with database.unit(tenant.id) as unit:
            await unit._executor.change(sa.text(statement))
    assert await trail(database, tenant) == [entry]
