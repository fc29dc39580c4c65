"""Words and limits that steer behaviour; values handed down from the settings."""

from enum import StrEnum
from typing import Literal

import msgspec

ReasoningEffort = Literal["off", "on", "low", "medium", "high"]
"""`off` asks the model not to reason; `on` leaves the depth to the provider; absent sends nothing at all."""


OnBusy = Literal["reject", "enqueue", "interrupt", "append"]
"""What becomes of a message that comes while a run is active: `reject` refuses it, `enqueue` answers it after what is
there, `interrupt` cancels the active run and answers it next, `append` hands it to the active run."""
OnDisconnect = Literal["continue", "cancel"]
"""What becomes of the run when the connection that asked for it goes away."""


class Permission(StrEnum):
    READ = "read"
    WRITE = "write"


class ChatListen(StrEnum):
    ALL = "all"
    MENTIONS = "mentions"
    NONE = "none"


class TaskListen(StrEnum):
    ALL = "all"
    MENTIONS = "mentions"
    ASSIGNED = "assigned"
    NONE = "none"


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds a provider may take. The clock of each starts anew with every attempt."""

    connect: float = 10.0
    first_token: float = 60.0
    between_tokens: float = 30.0
    total: float = 600.0


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Retries of one model call, and only before its first delta."""

    max_tries: int = 3
    base_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 20.0
    """A provider that asks for a longer pause than this is not asked again."""


class ByteCaps(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider may send before it is cut off, in bytes."""

    line: int = 1_048_576
    turn: int = 33_554_432


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one run."""

    max_steps: int = 8
    max_output_tokens: int = 4096
    context_tokens: int = 128_000
    """The model's window where neither the tenant's configuration nor the list of known models names one."""
    history_messages: int = 200
    """Earlier messages that are read at most; the model's window usually cuts sooner."""
    max_answer_chars: int = 1_000_000
    """Text, reasoning and tool calls of an answer together; more fails the run as `answer_too_long`."""
    duration: float = 900.0
    """Seconds from the start of a run to its forced end, over all steps, retries and appended messages; each attempt
    has its own."""
    max_attempts: int = 3
    """Processes that may try to complete a run, one after the other, before it fails as `process_lost`."""
    max_queued: int = 16
    """Runs that may wait in one conversation, and messages that may wait for its active run."""
    max_calls_per_step: int = 32
    """Tool calls of one model turn that are carried out; the model is told that the rest was not."""
    max_identical_failures: int = 3
    """So often may the same call fail in a run before it is answered without being tried again."""
    result_chars: int = 20_000
    """Of a tool's result; the rest is cut off, with a mark."""
    tool_seconds: float = 60.0
    """The longest that a tool may take, whatever it asks for itself."""
    approval_seconds: float = 1800.0
    """How long an approval, or a password, is waited for."""
    password_tries: int = 3


class SessionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a conversation has to be reopened, and how fast messages may come."""

    ttl_seconds: float = 1800.0
    """Without a message for longer than this, a conversation's session has expired. 0 expires at once."""
    max_messages: int = 10
    """Messages that a conversation takes within `window_seconds`; 0 for any number."""
    window_seconds: float = 10.0
