"""Answers of the audit resource."""

import re
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from retinue.domain.audit import AuditEntry

COMMAND = "command.executed"
"""The action under which the engine records a command before it is run."""
FINISHED = "command.finished"
"""The action under which it records what came of one: about the entry before."""
_SECRET_WORD = re.compile(rb"password", re.IGNORECASE)


class CommandDetails(msgspec.Struct, frozen=True, kw_only=True):
    command: str = ""
    """As it was run; a word that could announce a secret is masked."""
    action_type: str = ""
    """The kind of command, such as `package_check`."""
    risk_level: str = ""
    approved: bool = False
    """Whether a person has allowed it; false where nobody had to."""
    approval_id: str | None = None
    run_id: str | None = None
    conversation_id: str | None = None
    outcome: str | None = None
    """`succeeded`: it has run to its end, see `exit_code`. `failed`: it did not, and changed nothing. `not_made`: it
    was not let through, such as by sudo. `outcome_unknown`: nobody can know. Null while it runs, and if its process
    is lost.
    """
    exit_code: int | None = None


class CommandAudit(msgspec.Struct, frozen=True, kw_only=True):
    """A command that an employee has run, or was about to."""

    id: UUID
    at: datetime
    actor: str
    event_type: Literal["command_audit"] = "command_audit"
    payload: CommandDetails


def command_audit(entry: AuditEntry, finished: AuditEntry | None) -> CommandAudit:
    told = entry.payload | (finished.payload if finished else {})
    known = {name: told[name] for name in CommandDetails.__struct_fields__ if name in told}
    payload = msgspec.convert(known, CommandDetails)
    return CommandAudit(id=entry.id, at=entry.at, actor=entry.actor, payload=payload)


def masked(answer: bytes) -> bytes:
    """An answer in JSON without a certain word, in which case ever, wherever it stands."""
    return _SECRET_WORD.sub(b"[masked]", answer)


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Null matches everything; what is set must all match."""

    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def asdict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)
