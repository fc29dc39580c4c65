"""Somebody who can do everything to the database changes the audit trail: `verify` finds it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.audit_rows import TEXTS, columns_of
from retinue.db.session import Database, Unit
from retinue.domain.audit import Actor, AuditEntry, Verdict, entry_hash
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.support.roles import open_as_superuser

ROW, HEAD = t.Base.metadata.tables["audit_entries"], t.Base.metadata.tables["audit_heads"]
LENGTH = 5
SQLITE_TRIGGERS = ("audit_entries_unchanged", "audit_entries_kept", "audit_entries_not_replaced")


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = open_as_superuser(migrated_url, pool_size=5, command_timeout=10.0)
    yield database
    await database.aclose()


@pytest.fixture
async def chain(database: Database, tenant: Tenant) -> list[AuditEntry]:
    """A sound chain that the database does not defend any more."""
    actor = Actor(kind="operator", id="zoë", request_id="r-\x1f")
    async with database.unit(tenant.id) as unit:
        for number in range(LENGTH):
            await unit.audit.record(
                "order.cancelled",
                object_type="order",
                object_id=f"o{number}",
                payload={"b": 1e16, "a": ["ü\x1f", None]},
                actor=actor,
            )
        made = list(await unit.audit.list(limit=9))[::-1]
        drops = ["ALTER TABLE audit_entries DISABLE TRIGGER ALL"]
        if database.is_sqlite:
            drops = [f"DROP TRIGGER {name}" for name in SQLITE_TRIGGERS]
        for drop in drops:
            await unit._executor.change(sa.text(drop))
    return made


@pytest.fixture
async def unit(database: Database, tenant: Tenant, chain: list[AuditEntry]) -> AsyncIterator[Unit]:
    async with database.unit(tenant.id) as unit:
        yield unit


def flips(name: str, text: bytes, *, is_sqlite: bool) -> Iterator[bytes]:
    """The text with each of its bytes changed in several ways, as far as the database can hold it as text."""
    bits = {0x01, 0x20, 0x80} if is_sqlite else {0x01, 0x20}  # 0x20 changes between capitals and small letters
    for place, byte in enumerate(text):
        for bit in bits:
            changed = text[:place] + bytes([byte ^ bit]) + text[place + 1 :]
            if is_sqlite or (b"\x00" not in changed and _is_utf8(changed)):
                yield changed


@pytest.mark.parametrize("name", TEXTS)
async def test_a_changed_byte_is_found_wherever_it_is(
    database: Database, unit: Unit, chain: list[AuditEntry], name: str
) -> None:
    entry = chain[2]
    original = columns_of(entry)[name].encode()
    tried = 0
    for changed in flips(name, original, is_sqlite=database.is_sqlite):
        await put(unit, entry.seq, name, changed)
        verdict = await unit.audit.verify()
        assert (verdict.is_valid, verdict.first_broken, verdict.entries) == (False, 3, 3), changed
        assert len(await unit.audit.list(limit=9)) == LENGTH, "what is damaged must not hide the rest"
        tried += 1
    assert tried >= len(original)
    await put(unit, entry.seq, name, original)
    assert await unit.audit.verify() == Verdict(is_valid=True, entries=LENGTH, head=chain[-1].hash)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("id", "{}"),
        ("at", "12:00"),
        ("at", "0001-01-01T00:00:00.000+23:59"),
        ("payload", "[]"),
        ("payload", "nonsense"),
        ("payload", '{"a":["ü\\u001f",null],"b":10000000000000000.0}'),
        ("payload", '{"b":1e16,"a":["ü\\u001f",null]}'),
        ("payload", '{"a":1,"a":["ü\\u001f",null],"b":1e16}'),
        ("payload", "[" * 5000 + "]" * 5000),
        ("payload", '{"a":9' + "9" * 400 + "}"),
        ("request_id", ""),
    ],
)
async def test_another_text_is_found(unit: Unit, name: str, text: str) -> None:
    await put(unit, 3, name, text.encode())
    assert (await unit.audit.verify()).first_broken == 3
    assert len(await unit.audit.list(limit=9)) == LENGTH


async def test_another_spelling_of_the_same_is_found(unit: Unit, chain: list[AuditEntry]) -> None:
    same = {
        "id": str(chain[2].id).upper(),
        "at": columns_of(chain[2])["at"].replace("T", " "),
        "payload": columns_of(chain[2])["payload"].replace(":", ": "),
        "hash": chain[2].hash.upper(),
    }
    for name, text in same.items():
        await put(unit, 3, name, text.encode())
        assert (await unit.audit.verify()).first_broken == 3, name
        await put(unit, 3, name, columns_of(chain[2])[name].encode())
    assert (await unit.audit.verify()).is_valid


async def test_a_name_that_was_taken_out_is_found(unit: Unit) -> None:
    await unit._executor.change(sa.update(ROW).where(ROW.c.seq == 3).values(request_id=None))
    assert (await unit.audit.verify()).first_broken == 3


@pytest.mark.parametrize(("seq", "entries"), [(1, 1), (3, 3)])
async def test_a_row_that_was_taken_out_is_found(unit: Unit, seq: int, entries: int) -> None:
    await unit._executor.change(sa.delete(ROW).where(ROW.c.seq == seq))
    verdict = await unit.audit.verify()
    assert (verdict.is_valid, verdict.first_broken, verdict.entries) == (False, seq, entries)


@pytest.mark.parametrize("kept", [0, 1, LENGTH - 1])
async def test_an_end_that_was_cut_off_is_found(unit: Unit, chain: list[AuditEntry], kept: int) -> None:
    await unit._executor.change(sa.delete(ROW).where(ROW.c.seq > kept))
    verdict = await unit.audit.verify()
    assert (verdict.is_valid, verdict.first_broken, verdict.entries) == (False, kept + 1, kept)


async def test_an_end_cut_off_with_its_head_changes_the_last_hash(unit: Unit, chain: list[AuditEntry]) -> None:
    """Nothing in the database tells it any more; whoever kept the last hash elsewhere sees it."""
    await unit._executor.change(sa.delete(ROW).where(ROW.c.seq > 3))
    await unit._executor.change(sa.update(HEAD).values(seq=3, hash=chain[2].hash))
    assert await unit.audit.verify() == Verdict(is_valid=True, entries=3, head=chain[2].hash)


async def test_a_row_that_was_moved_is_found(unit: Unit) -> None:
    for old, new in ((3, -1), (4, 3), (-1, 4)):
        await unit._executor.change(sa.update(ROW).where(ROW.c.seq == old).values(seq=new))
    assert (await unit.audit.verify()).first_broken == 3


async def test_a_row_that_was_put_in_is_found(unit: Unit, chain: list[AuditEntry]) -> None:
    for old in range(LENGTH, 2, -1):
        await unit._executor.change(sa.update(ROW).where(ROW.c.seq == old).values(seq=old + 1))
    await unit._executor.change(sa.insert(ROW).values(columns_of(forged(chain[2], seq=3))))
    assert (await unit.audit.verify()).first_broken == 4


async def test_a_row_whose_hash_was_made_to_fit_is_found(unit: Unit, chain: list[AuditEntry]) -> None:
    columns = columns_of(forged(chain[2], actor="somebody"))
    await unit._executor.change(sa.update(ROW).where(ROW.c.seq == 3).values(columns))
    assert (await unit.audit.verify()).first_broken == 4, "the next one follows another"


async def test_a_last_row_whose_hash_was_made_to_fit_is_found(unit: Unit, chain: list[AuditEntry]) -> None:
    columns = columns_of(forged(chain[-1], actor="somebody"))
    await unit._executor.change(sa.update(ROW).where(ROW.c.seq == LENGTH).values(columns))
    assert (await unit.audit.verify()).first_broken == LENGTH, "the head knows"


async def test_a_row_that_was_added_behind_the_head_is_found(unit: Unit, chain: list[AuditEntry]) -> None:
    extra = forged(chain[-1], seq=LENGTH + 1, previous=chain[-1].hash)
    await unit._executor.change(sa.insert(ROW).values(columns_of(extra)))
    verdict = await unit.audit.verify()
    assert (verdict.is_valid, verdict.first_broken) == (False, LENGTH + 1)


async def test_a_row_that_was_given_to_another_tenant_is_found(unit: Unit, chain: list[AuditEntry]) -> None:
    """A row is of the tenant for which it was hashed."""
    neighbour = new_id()
    await unit._executor.change(sa.update(ROW).where(ROW.c.seq == 1).values(tenant_id=neighbour))
    await unit._executor.change(sa.insert(HEAD).values(tenant_id=neighbour, seq=1, hash=chain[0].hash))
    assert (await unit.audit.verify()).first_broken == 1
    other = Unit(neighbour, unit._executor)
    assert (await other.audit.verify()).first_broken == 1


@pytest.mark.parametrize(
    ("change", "first_broken"),
    [
        (sa.update(HEAD).values(hash="0" * 64), LENGTH),
        (sa.update(HEAD).values(seq=LENGTH + 1), LENGTH + 1),
        (sa.update(HEAD).values(seq=LENGTH - 1), LENGTH),
        (sa.delete(HEAD), 1),
    ],
    ids=["hash", "later", "earlier", "gone"],
)
async def test_a_head_that_was_changed_is_found(unit: Unit, change: Any, first_broken: int) -> None:
    await unit._executor.change(change)
    verdict = await unit.audit.verify()
    assert (verdict.is_valid, verdict.first_broken) == (False, first_broken)


def forged(entry: AuditEntry, **changes: Any) -> AuditEntry:
    """An entry with a hash that fits."""
    entry = msgspec.structs.replace(entry, id=new_id(), **changes)
    return msgspec.structs.replace(entry, hash=entry_hash(entry))


async def put(unit: Unit, seq: int, name: str, text: bytes) -> None:
    """Bytes as a text, whether they are one or not."""
    value: sa.ColumnElement[Any] = sa.literal(text, sa.LargeBinary())
    is_sqlite = unit._executor.dialect.scheme == "sqlite"
    value = sa.cast(value, sa.Text) if is_sqlite else sa.func.convert_from(value, "UTF8")
    await unit._executor.change(sa.update(ROW).where(ROW.c.seq == seq).values({name: value}))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
