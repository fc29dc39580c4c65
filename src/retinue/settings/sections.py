"""The sections of the settings: one class per concern, the default and one sentence per field."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
)

from retinue.domain.policy import ByteCaps, Deadlines, RetryPolicy, RunLimits
from retinue.settings import values

Seconds = Annotated[FiniteFloat, Field(gt=0)]
Hours = Annotated[FiniteFloat, Field(gt=0)]

_DEADLINES, _RETRY, _CAPS, _RUN = Deadlines(), RetryPolicy(), ByteCaps(), RunLimits()


def _comma_list(value: Any) -> Any:
    """The environment knows no lists: commas separate."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Database(Section):
    """Where everything that must survive is kept."""

    url: Annotated[str, AfterValidator(values.database_url)] = Field(
        default="sqlite+aiosqlite:///.data/retinue.sqlite3",
        repr=False,
        description="sqlite+aiosqlite:///<file> or postgresql+asyncpg://<user>:<password>@<host>/<database>.",
    )
    pool_size: PositiveInt = Field(
        default=10,
        description="Connections that one process keeps open at most for requests and runs; on PostgreSQL it has four "
        "more for its own work.",
    )
    command_timeout: Seconds = Field(default=30.0, description="Seconds that one statement may take.")

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")


class Coordination(Section):
    """What replicas share while a run is alive."""

    url: Annotated[str, AfterValidator(values.coordination_url)] = Field(
        default="memory://",
        repr=False,
        description="memory:// is for one process; redis://<host>:<port>/<number> or rediss://… is for any number.",
    )

    @property
    def is_shared(self) -> bool:
        """Whether other processes can take part."""
        return not self.url.startswith("memory")


class Egress(Section):
    """Which addresses beyond the public internet Retinue may call."""

    allow: Annotated[tuple[Annotated[str, AfterValidator(values.host_and_port)], ...], BeforeValidator(_comma_list)] = (
        Field(
            default=(),
            description="Exact host:port pairs that are allowed although internal, such as your own model server.",
        )
    )


class Log(Section):
    """What the server writes about its own work."""

    format: Literal["console", "json"] = Field(default="console", description="console for people, json for machines.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe lines that are written."
    )


class Limits(Section):
    """What one request and one run may ask for."""

    body_bytes: PositiveInt = Field(default=1_048_576, description="Size of a request body, in bytes.")
    body_depth: PositiveInt = Field(default=64, description="Nesting of arrays and objects in a request body.")
    body_seconds: Seconds = Field(default=30.0, description="Seconds in which a request body must have arrived.")
    content_chars: PositiveInt = Field(default=32_000, description="Length of one message, in characters.")
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
        description="Seconds from the start of a run to its forced end, over all steps and retries.",
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


class Provider(Section):
    """How long and how often a model provider is asked, and how much it may send."""

    connect_seconds: Seconds = Field(default=_DEADLINES.connect, description="Seconds to open a connection.")
    first_token_seconds: Seconds = Field(
        default=_DEADLINES.first_token, description="Seconds from the request to the first piece of the answer."
    )
    between_tokens_seconds: Seconds = Field(
        default=_DEADLINES.between_tokens, description="Seconds of silence between two pieces of an answer."
    )
    total_seconds: Seconds = Field(default=_DEADLINES.total, description="Seconds for one model call as a whole.")
    max_tries: PositiveInt = Field(
        default=_RETRY.max_tries, description="Tries of one model call; only before its first piece has arrived."
    )
    base_delay_seconds: Seconds = Field(
        default=_RETRY.base_delay,
        description="Seconds before the second try; doubled, with jitter, for each further one.",
    )
    max_delay_seconds: Seconds = Field(
        default=_RETRY.max_delay, description="Longest pause between two tries, in seconds."
    )
    max_retry_after_seconds: Seconds = Field(
        default=_RETRY.max_retry_after,
        description="A provider that asks for a longer pause than this many seconds is not asked again.",
    )
    max_line_bytes: PositiveInt = Field(
        default=_CAPS.line, description="Longest line of a provider's stream, in bytes; beyond it the call is cut off."
    )
    max_turn_bytes: PositiveInt = Field(
        default=_CAPS.turn, description="Bytes of one provider stream as a whole; beyond them the call is cut off."
    )

    def deadlines(self) -> Deadlines:
        return Deadlines(
            connect=self.connect_seconds,
            first_token=self.first_token_seconds,
            between_tokens=self.between_tokens_seconds,
            total=self.total_seconds,
        )

    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            max_tries=self.max_tries,
            base_delay=self.base_delay_seconds,
            max_delay=self.max_delay_seconds,
            max_retry_after=self.max_retry_after_seconds,
        )

    def byte_caps(self) -> ByteCaps:
        return ByteCaps(line=self.max_line_bytes, turn=self.max_turn_bytes)


class Stream(Section):
    """How answers are sent to clients."""

    ping_seconds: Seconds = Field(
        default=15.0, description="Seconds of silence after which a comment keeps a stream's connection alive."
    )
    send_timeout_seconds: Seconds = Field(
        default=30.0, description="Seconds that a client may refuse to take bytes before its stream is broken off."
    )
    max_chunk_bytes: PositiveInt = Field(
        default=65_536, description="Waiting events are sent together, up to about this many bytes at once."
    )
    retry_ms: PositiveInt = Field(
        default=1000,
        description="Milliseconds that a client is asked to wait before it takes up a stream again that moved away.",
    )


class Runs(Section):
    """How runs are owned, stored and stopped."""

    max_active: PositiveInt = Field(
        default=1000, description="Runs that may be active in one process; further ones are refused with 503."
    )
    lease_seconds: Seconds = Field(
        default=30.0, description="A process that has not renewed its hold on a run for so many seconds counts as lost."
    )
    event_batch: PositiveInt = Field(
        default=64,
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


class Retention(Section):
    """How long records are kept that serve their purpose for a while only. Messages, tool logs and usage stay."""

    event_hours: Hours = Field(
        default=720.0,
        description="Hours after a run's end in which its events can be replayed one by one; later its stream begins "
        "with a snapshot.",
    )
    idempotency_hours: Hours = Field(
        default=24.0, description="Hours in which a repeated Idempotency-Key is answered as the first time."
    )
    sweep_seconds: Seconds = Field(default=60.0, description="Seconds between two searches for what has grown old.")

    @property
    def event_seconds(self) -> float:
        return self.event_hours * 3600

    @property
    def idempotency_seconds(self) -> float:
        return self.idempotency_hours * 3600


class Readiness(Section):
    """From when on this process asks a balancer for no more requests. It goes on to serve those that come anyway."""

    max_load: Annotated[FiniteFloat, Field(gt=0, le=1)] = Field(
        default=1.0, description="Share of runs.max_active from which the process is not ready."
    )
    max_lag_ms: PositiveInt = Field(
        default=500, description="Milliseconds that the event loop may be late before the process is not ready."
    )
