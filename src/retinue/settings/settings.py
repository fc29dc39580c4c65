"""Every setting. `config/default.toml` is rendered from these classes.

In the environment a setting is called `RETINUE_<SECTION>_<KEY>`, one without a section `RETINUE_<KEY>`.
"""

from collections.abc import Callable
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from retinue.domain.text import is_clean
from retinue.settings import values
from retinue.settings.sections import (
    Approvals,
    Coordination,
    Database,
    Egress,
    Limits,
    Log,
    Metrics,
    Provider,
    Rates,
    Readiness,
    Retention,
    Runs,
    Sessions,
    Stream,
    Tools,
    Usage,
    Workspace,
)


class Settings(BaseSettings):
    """All of them. Frozen; `repr` and `str` show no secret."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the server listens on.")
    port: NonNegativeInt = Field(
        default=8000, le=65535, description="Port that the server listens on; 0 takes a free one."
    )
    workers: PositiveInt = Field(
        default=1,
        le=256,
        description="Processes that share the port, one per core at most; more than one needs PostgreSQL and Redis.",
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
    metrics: Metrics = Metrics()
    limits: Limits = Limits()
    rates: Rates = Rates()
    provider: Provider = Provider()
    stream: Stream = Stream()
    runs: Runs = Runs()
    tools: Tools = Tools()
    approvals: Approvals = Approvals()
    sessions: Sessions = Sessions()
    workspace: Workspace = Workspace()
    retention: Retention = Retention()
    usage: Usage = Usage()
    readiness: Readiness = Readiness()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> "Sources":
        """Nothing but what the constructor is given: pydantic would read variables such as `PORT` for `port`."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A byte of the environment that is no UTF-8 shows as half a surrogate pair."""
        for name, value in given.items():
            if not is_clean(value):
                raise ValueError(f"{name} holds a NUL, or bytes that are not UTF-8")
        return given

    @field_validator("master_keys")
    @classmethod
    def _keys_are_well_formed(cls, value: SecretStr) -> SecretStr:
        return SecretStr(values.master_keys(value.get_secret_value()))

    @property
    def is_open(self) -> bool:
        """Open mode: nobody is asked who they are."""
        return not self.operator_key.get_secret_value()

    def database_urls(self) -> tuple[str, ...]:
        database = self.database
        return tuple(url for url in (database.url, database.jobs_url, database.owner_url) if url)

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, in each spelling, for a redactor."""
        passwords = [values.url_password(url) for url in (*self.database_urls(), self.coordination.url)]
        spelled = [spelling for password in passwords if password for spelling in values.spellings(password)]
        materials = values.master_key_materials(self.master_keys.get_secret_value())
        operator = [] if self.is_open else [self.operator_key.get_secret_value()]
        return (*operator, *materials, *spelled)

    def public(self) -> dict[str, Any]:
        """The settings in force, as JSON types, fit to be shown: secrets appear as `***`."""
        shown = self.model_dump(mode="json")
        for name in ("operator_key", "master_keys"):
            shown[name] = "***" if getattr(self, name).get_secret_value() else ""
        for section, name in (
            ("database", "url"),
            ("database", "jobs_url"),
            ("database", "owner_url"),
            ("coordination", "url"),
        ):
            shown[section][name] = values.without_password(shown[section][name])
        return shown


Sources = tuple[PydanticBaseSettingsSource, ...]


def read_from(sources: Callable[[type[BaseSettings], PydanticBaseSettingsSource], Sources]) -> type[Settings]:
    """Settings that come from these sources, the first of them first, and from nowhere else.

    Args:
        sources: makes them for the class that it is given; beside it stands the source of the constructor's arguments.
    """

    class Read(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> Sources:
            del env_settings, dotenv_settings, file_secret_settings
            return sources(settings_cls, init_settings)

    return Read
