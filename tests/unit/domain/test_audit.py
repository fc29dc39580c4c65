"""Entries of the audit trail and their hashes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from retinue.domain.audit import GENESIS, SYSTEM, Actor, AuditEntry, acting, entry_hash
from retinue.domain.ids import new_id

ENTRY = AuditEntry(
    tenant_id=UUID("01928f6e-0000-7000-8000-000000000001"),
    seq=1,
    id=UUID("01928f6e-0000-7000-8000-000000000002"),
    at=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    actor="operator",
    action="employee.created",
    object_type="employee",
    object_id="x",
    request_id=None,
    payload={"slug": "ada"},
    previous=GENESIS,
    hash="",
)
OTHERS: dict[str, Any] = {
    "tenant_id": new_id(),
    "seq": 2,
    "id": new_id(),
    "at": ENTRY.at + timedelta(milliseconds=1),
    "actor": "anonymous",
    "action": "employee.deleted",
    "object_type": "tenant",
    "object_id": "y",
    "request_id": "r",
    "payload": {"slug": "eve"},
    "previous": "1" * 64,
}


@pytest.mark.parametrize("name", [name for name in AuditEntry.__struct_fields__ if name != "hash"])
def test_every_field_counts(name: str) -> None:
    changed = msgspec.structs.replace(ENTRY, **{name: OTHERS[name]})
    assert entry_hash(changed) != entry_hash(ENTRY)


def test_the_hash_itself_does_not() -> None:
    assert entry_hash(msgspec.structs.replace(ENTRY, hash="x")) == entry_hash(ENTRY)


def test_a_hash_stays_what_it_is_for_ever() -> None:
    """Chains are verified with it, also years later."""
    assert entry_hash(ENTRY) == "c0cb55d786983efd3ad0ed27c2376d922226a940b1ef1f3c5b35120e49bd0d47"


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        (Actor(kind="operator"), "operator"),
        (Actor(kind="anonymous", request_id="r"), "anonymous"),
        (Actor(kind="employee", id="e-1"), "employee:e-1"),
        (SYSTEM, "system"),
    ],
)
def test_an_actor_has_a_name(actor: Actor, name: str) -> None:
    assert actor.name == name


def test_where_nobody_says_who_acts_it_is_the_system() -> None:
    assert acting.get() is SYSTEM
