"""Audit entries and how they are written down: every value in one spelling only."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.domain.audit import AuditEntry, entry_hash

TEXTS = ("id", "at", "actor", "action", "object_type", "object_id", "request_id", "payload", "previous", "hash")
_UNREADABLE_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def columns_of(entry: AuditEntry) -> dict[str, Any]:
    plain = {name: getattr(entry, name) for name in AuditEntry.__struct_fields__}
    return {
        **plain,
        "id": str(entry.id),
        "at": moment_text(entry.at),
        "payload": msgspec.json.encode(entry.payload, order="sorted").decode(),
    }


def entry_of(row: sa.Row[Any]) -> AuditEntry:
    """From a row whose texts are bytes. Never fails: of what was damaged it makes the best."""
    texts = {name: _text(getattr(row, name)) for name in TEXTS}
    return AuditEntry(
        **{**texts, "id": _id(texts["id"]), "at": _moment(texts["at"]), "payload": _payload(texts["payload"])},
        tenant_id=row.tenant_id,
        seq=row.seq,
    )


def is_genuine(row: sa.Row[Any], entry: AuditEntry) -> bool:
    """Whether the entry has the hash that it says, and the row is written exactly as `columns_of` writes it."""
    try:
        expected = columns_of(entry)
        texts = {name: None if expected[name] is None else expected[name].encode() for name in TEXTS}
        return texts == {name: getattr(row, name) for name in TEXTS} and entry_hash(entry) == entry.hash
    except (ValueError, OverflowError, msgspec.MsgspecError):  # a number too large, or not a number, which nobody wrote
        return False


def moment_text(moment: datetime) -> str:
    """As `2026-03-01T12:00:00.123Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _text(stored: bytes | None) -> Any:
    return None if stored is None else bytes(stored).decode(errors="replace")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _UNREADABLE_TIME


def _payload(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {"unreadable": text}
