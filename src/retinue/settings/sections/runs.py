"""What conversations and runs may ask for, and how runs are owned."""

from typing import Annotated

import msgspec
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from retinue.domain.policy import RunLimits, SessionPolicy
from retinue.settings.sections.base import Seconds, Section, UpToAYear

_RUN, _SESSION = RunLimits(), SessionPolicy()


class Limits(Section):
    """What one request and one run may ask for."""

    target_bytes: PositiveInt = Field(
        default=8192, description="Length of a request's path and query together, in bytes; a longer one gets 414."
    )
    headers: PositiveInt = Field(default=100, description="Headers of a request; more get 431.")
    header_bytes: PositiveInt = Field(
        default=16_384, description="Names and values of a request's headers together, in bytes; more get 431."
    )
    head_seconds: Seconds = Field(
        default=10.0, description="Seconds in which a request's first line and headers must have arrived."
    )
    idle_seconds: Seconds = Field(
        default=75.0, description="Seconds that a connection is kept open between two requests, and before the first."
    )
    connections: PositiveInt = Field(
        default=4096,
        description="Connections of clients that one process keeps open. For one more, the one that has been silent "
        "for longest is closed; if all are at work, the new one.",
    )
    body_bytes: PositiveInt = Field(default=1_048_576, description="Size of a request body, in bytes.")
    body_depth: PositiveInt = Field(default=64, description="Nesting of arrays and objects in a request body.")
    body_seconds: Seconds = Field(default=30.0, description="Seconds in which a request body must have arrived.")
    content_chars: PositiveInt = Field(default=10_000, description="Length of one message, in characters.")
    messages: NonNegativeInt = Field(
        default=_SESSION.max_messages,
        description="Messages that one conversation takes within messages_seconds; further ones are refused with 429. "
        "0 for any number.",
    )
    messages_seconds: Seconds = Field(
        default=_SESSION.window_seconds, description="Seconds in which the messages of a conversation are counted."
    )
    history_messages: PositiveInt = Field(
        default=_RUN.history_messages,
        description="Earlier messages that are read to build a prompt; the newest come first.",
    )
    context_tokens: PositiveInt = Field(
        default=_RUN.context_tokens,
        description="The model's window where neither the tenant nor the list of known models names one.",
    )
    max_output_tokens: PositiveInt = Field(
        default=_RUN.max_output_tokens, description="Tokens that one model call may answer with."
    )
    max_answer_chars: PositiveInt = Field(
        default=_RUN.max_answer_chars, description="Text and reasoning of one answer together, in characters."
    )
    max_steps: PositiveInt = Field(default=_RUN.max_steps, description="Model calls that one run may make.")
    run_seconds: Seconds = Field(
        default=_RUN.duration,
        description="Seconds from the start of a run to its forced end, over all steps and retries; after a pause, and "
        "in another process, they begin anew.",
    )

    def run_limits(self) -> RunLimits:
        return RunLimits(
            max_steps=self.max_steps,
            history_messages=self.history_messages,
            max_output_tokens=self.max_output_tokens,
            context_tokens=self.context_tokens,
            max_answer_chars=self.max_answer_chars,
            duration=self.run_seconds,
        )

    def session_policy(self, *, ttl_seconds: float) -> SessionPolicy:
        """When conversations have to be reopened, together with how fast their messages may come."""
        return SessionPolicy(ttl_seconds=ttl_seconds, max_messages=self.messages, window_seconds=self.messages_seconds)


class Runs(Section):
    """How runs are owned, stored and stopped."""

    max_active: PositiveInt = Field(
        default=1000, description="Runs that may be active in one process; further ones are refused with 503."
    )
    tenant_share: Annotated[FiniteFloat, Field(gt=0, le=1)] = Field(
        default=0.5,
        description="Share of max_active that one tenant may have in a process while others have or want places there, "
        "too; the last tenth is for those who have less than an equal part. And of limits.connections, whoever else is "
        "there; one user an eighth of that.",
    )
    lease_seconds: Seconds = Field(
        default=30.0, description="A process that has not renewed its hold on a run for so many seconds counts as lost."
    )
    event_batch: PositiveInt = Field(
        default=512,
        description="So many waiting events of a run are stored at once, without waiting for event_flush_ms.",
    )
    event_flush_ms: PositiveInt = Field(default=250, description="Milliseconds that an event may wait to be stored.")
    max_attempts: PositiveInt = Field(
        default=_RUN.max_attempts,
        description="Processes that may try to complete a run, one after the other, before it fails as process_lost.",
    )
    max_queued: PositiveInt = Field(
        default=_RUN.max_queued,
        description="Runs that may wait in one conversation; further ones are refused with 409.",
    )
    drain_seconds: Seconds = Field(
        default=30.0,
        description="Seconds that running answers get to complete after a stop; what is not complete is handed over.",
    )

    def complete(self, limits: RunLimits) -> RunLimits:
        """The limits of a run with those that belong to its ownership and its queue."""
        return msgspec.structs.replace(limits, max_attempts=self.max_attempts, max_queued=self.max_queued)


class Sessions(Section):
    """How long conversations stay open without anybody saying anything."""

    ttl_seconds: UpToAYear = Field(
        default=_SESSION.ttl_seconds,
        description="Seconds without a message after which a conversation has to be reopened, unless it says otherwise "
        "itself; 0 for at once. While a run is active, nothing expires.",
    )
