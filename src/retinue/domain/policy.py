"""Words and limits that steer behaviour; values handed down from the settings."""

from enum import StrEnum
from typing import Literal

import msgspec

ReasoningEffort = Literal["off", "on", "low", "medium", "high"]
"""`off` asks the model not to reason; `on` leaves the depth to the provider; absent sends nothing at all."""


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
    """Seconds from the start of a run to its forced end, over all steps and retries."""
