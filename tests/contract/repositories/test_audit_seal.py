"""What the trail says of people and commands can be read for as long as there is the tenant, and never after."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.audit_seal import ERASED, AuditSeal, new_key
from retinue.db.session import Database, Unit
from retinue.domain.audit import Actor, AuditEntry
from retinue.domain.tenants import Tenant
from tests.unit.domain.test_audit import ENTRY

ALICE = Actor(kind="user", id="alice@example.com")
PAYLOAD = {
    "command": "rm -r ./letters",
    "decided_by": "user:bob@example.com",
    "tool": "shell",
    "slug": "carol",
    "subject_id": "dave@example.com",
    "models": ["openai/ft-erin", "", "openai/ft-frank"],
}
SECRETS = ("alice", "bob@", "letters", "carol", "dave", "erin", "frank")


async def record(unit: Unit, actor: Actor = ALICE, payload: dict[str, Any] = PAYLOAD) -> None:
    await unit.audit.record("command.executed", object_type="tool_call", object_id="1", payload=payload, actor=actor)


async def entries(database: Database, tenant: Tenant, **wanted: Any) -> list[AuditEntry]:
    async with database.unit(tenant.id, read_only=True) as unit:
        return list(await unit.audit.list(limit=9, **wanted))


async def stored(database: Database, tenant: Tenant) -> str:
    async with database.unit(tenant.id, read_only=True) as unit:
        rows = await unit._executor.rows(unit.audit._select(t.AuditEntry))
    return "\n".join(str(tuple(row)) for row in rows)


@pytest.fixture
async def chain(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await record(unit)
        await record(unit, Actor(kind="operator"), {"tool": "shell"})
    async with database.unit(tenant.id) as unit:
        await record(unit)


@pytest.mark.usefixtures("chain")
async def test_it_is_read_as_it_was_recorded_and_stored_otherwise(database: Database, tenant: Tenant) -> None:
    newest, plain, first = await entries(database, tenant)
    assert newest.payload == first.payload == PAYLOAD
    assert [newest.actor, plain.actor, first.actor] == ["user:alice@example.com", "operator", "user:alice@example.com"]
    text = await stored(database, tenant)
    assert [secret for secret in SECRETS if secret in text] == []
    assert "shell" in text


@pytest.mark.usefixtures("chain")
async def test_it_can_be_looked_for_by_its_actor(database: Database, tenant: Tenant) -> None:
    assert len(await entries(database, tenant, actor="user:alice@example.com")) == 2
    assert len(await entries(database, tenant, actor="operator")) == 1
    assert await entries(database, tenant, actor="user:bob@example.com") == []


@pytest.mark.usefixtures("chain")
async def test_after_the_erasure_nobody_reads_it_and_the_chain_is_whole(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.erasure.forget_what_was_said()
        await record(unit)  # somebody who had not noticed yet
    async with database.unit(tenant.id, read_only=True) as unit:
        assert (await unit.audit.verify()).is_valid
        head = await unit._executor.row(sa.select(t.AuditHead).where(t.AuditHead.tenant_id == tenant.id))
    assert head is not None
    assert head.content_key == b""
    found = await entries(database, tenant)
    assert len(found) == 4
    assert [entry.actor for entry in found] == [f"user:{ERASED}", f"user:{ERASED}", "operator", f"user:{ERASED}"]
    assert found[0].payload == {
        **dict.fromkeys(("command", "slug", "subject_id"), ERASED),
        "decided_by": f"user:{ERASED}",
        "tool": "shell",
        "models": [ERASED, "", ERASED],
    }
    assert [secret for secret in SECRETS if secret in str(found) + await stored(database, tenant)] == []
    assert await entries(database, tenant, actor="user:alice@example.com") == []


async def test_what_was_recorded_before_there_were_keys_is_read_as_it_is(database: Database, tenant: Tenant) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retinue.db.repositories.audit.has_content", lambda *_: False)
        async with database.unit(tenant.id) as unit:
            await record(unit)
    async with database.unit(tenant.id) as unit:
        await record(unit)
    assert [entry.payload for entry in await entries(database, tenant)] == [PAYLOAD, PAYLOAD]
    assert len(await entries(database, tenant, actor="user:alice@example.com")) == 2


@pytest.mark.usefixtures("chain")
async def test_two_tenants_have_two_keys(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    async with database.unit(neighbour.id) as unit:
        await record(unit)
    assert (await entries(database, neighbour))[0].payload == PAYLOAD
    assert (await stored(database, neighbour)).partition("sealed:")[2] not in await stored(database, tenant)


@pytest.mark.parametrize("text", ["", "sealed:", "sealed:!", "ü\n", "x" * 10_000])
def test_any_text_comes_back(text: str) -> None:
    seal = AuditSeal(new_key())
    entry = _entry(seal.actor(f"user:{text}"), seal.payload({"command": text, "n": 1, "slug": None}))
    opened = seal.opened(entry)
    assert (opened.actor, opened.payload) == (f"user:{text}", {"command": text, "n": 1, "slug": None})


@pytest.mark.parametrize("damaged", ["sealed:", "sealed:!!", "sealed:AAAA", "sealed:ü"])
def test_what_was_damaged_hides_nothing_else(damaged: str) -> None:
    opened = AuditSeal(new_key()).opened(_entry(f"user:{damaged}", {"command": damaged, "tool": "shell"}))
    assert (opened.actor, opened.payload) == (f"user:{ERASED}", {"command": ERASED, "tool": "shell"})


def _entry(actor: str, payload: dict[str, Any]) -> AuditEntry:
    return msgspec.structs.replace(ENTRY, actor=actor, payload=payload)
