"""What processes tell each other while runs are alive. A signal may get lost: the database says the same, later."""

from enum import StrEnum
from uuid import UUID

import msgspec


class SignalKind(StrEnum):
    CANCEL = "cancel"
    """Somebody asked to cancel a run; `subject` is the run."""
    QUEUE = "queue"
    """A run waits in a conversation; `subject` is the conversation."""
    CONVERSATION = "conversation"
    """A run of a conversation has started, gone on or ended without a process; `subject` is the conversation."""
    ORPHAN = "orphan"
    """A process has let go of a run; `subject` is the run."""
    TENANT = "tenant"
    """A tenant was deleted; `subject` is the tenant, too."""


class Signal(msgspec.Struct, frozen=True):
    kind: SignalKind
    tenant_id: UUID
    subject: UUID
