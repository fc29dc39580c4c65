"""Every setting: one class per concern, the default and one sentence per field.

`config/default.toml` is rendered from these classes. In the environment a setting is called `RETINUE_<SECTION>_<KEY>`,
one without a section `RETINUE_<KEY>`.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from retinue.domain.policy import ByteCaps, Deadlines, RetryPolicy, RunLimits
from retinue.settings import values

Seconds = Annotated[FiniteFloat, Field(gt=0)]

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
    pool_size: PositiveInt = Field(default=10, description="Connections that this process keeps open at most.")
    command_timeout: Seconds = Field(default=30.0, description="Seconds that one statement may take.")


class Coordination(Section):
    """What replicas share while a run is alive."""

    url: Annotated[str, AfterValidator(values.coordination_url)] = Field(
        default="memory://",
        repr=False,
        description="memory:// keeps live streams inside one process; redis:// is refused until Retinue can use it.",
    )


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


class Runs(Section):
    """How runs are owned, stored and stopped."""

    max_active: PositiveInt = Field(
        default=1000, description="Runs that may be active in this process; further ones are refused with 503."
    )
    lease_seconds: Seconds = Field(
        default=30.0, description="A process that has not renewed its hold on a run for so many seconds counts as lost."
    )
    event_batch: PositiveInt = Field(
        default=64,
        description="So many waiting events of a run are stored at once, without waiting for event_flush_ms.",
    )
    event_flush_ms: PositiveInt = Field(default=250, description="Milliseconds that an event may wait to be stored.")
    drain_seconds: Seconds = Field(
        default=30.0, description="Seconds that running answers get to complete after the server was told to stop."
    )


class Settings(BaseSettings):
    """All of them. Frozen; `repr` and `str` show no secret."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the server listens on.")
    port: NonNegativeInt = Field(
        default=8000, le=65535, description="Port that the server listens on; 0 takes a free one."
    )
    operator_key: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer key that opens the whole API; empty means open mode, for loopback and SQLite only.",
    )
    master_keys: SecretStr = Field(
        default=SecretStr(""),
        description="Comma list of <id>:<base64 of 32 bytes>, newest first; the first encrypts, all decrypt.",
    )
    database: Database = Database()
    coordination: Coordination = Coordination()
    egress: Egress = Egress()
    log: Log = Log()
    limits: Limits = Limits()
    provider: Provider = Provider()
    stream: Stream = Stream()
    runs: Runs = Runs()

    @field_validator("master_keys")
    @classmethod
    def _keys_are_well_formed(cls, value: SecretStr) -> SecretStr:
        return SecretStr(values.master_keys(value.get_secret_value()))

    @property
    def is_open(self) -> bool:
        """Open mode: nobody is asked who they are."""
        return not self.operator_key.get_secret_value()

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, in each spelling, for a redactor."""
        passwords = [values.url_password(url) for url in (self.database.url, self.coordination.url)]
        spelled = [spelling for password in passwords if password for spelling in values.spellings(password)]
        materials = values.master_key_materials(self.master_keys.get_secret_value())
        operator = [] if self.is_open else [self.operator_key.get_secret_value()]
        return (*operator, *materials, *spelled)

    def public(self) -> dict[str, Any]:
        """The settings in force, as JSON types, fit to be shown: secrets appear as `***`."""
        shown = self.model_dump(mode="json")
        for name in ("operator_key", "master_keys"):
            shown[name] = "***" if getattr(self, name).get_secret_value() else ""
        for section in ("database", "coordination"):
            shown[section]["url"] = values.without_password(shown[section]["url"])
        return shown
