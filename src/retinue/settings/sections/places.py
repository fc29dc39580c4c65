"""Where things are kept, and whom Retinue may call."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from retinue.settings import values
from retinue.settings.sections.base import Seconds, Section


def _optional_database_url(value: str) -> str:
    return values.database_url(value) if value else value


def _comma_list(value: Any) -> Any:
    """The environment knows no lists: commas separate."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Database(Section):
    """Where everything that must survive is kept."""

    url: Annotated[str, AfterValidator(values.database_url)] = Field(
        default="sqlite+aiosqlite:///.data/retinue.sqlite3",
        repr=False,
        description="sqlite+aiosqlite:///<file> or postgresql+asyncpg://<user>:<password>@<host>/<database>. On "
        "PostgreSQL this user sees one tenant at a time.",
    )
    jobs_url: Annotated[str, AfterValidator(_optional_database_url)] = Field(
        default="",
        repr=False,
        description="PostgreSQL only: the same database for the user that sees all tenants, for what only the operator "
        "may ask and for housekeeping.",
    )
    owner_url: Annotated[str, AfterValidator(_optional_database_url)] = Field(
        default="",
        repr=False,
        description="PostgreSQL only: the same database for the user that owns the tables. `retinue migrate` needs it, "
        "a server does not.",
    )
    pool_size: PositiveInt = Field(
        default=10,
        description="Connections that one process keeps open at most for requests and runs; on PostgreSQL it has eight "
        "more for its own work.",
    )
    command_timeout: Seconds = Field(default=30.0, description="Seconds that one statement may take.")

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def unbound_url(self) -> str:
        """For what is not about one tenant."""
        return self.jobs_url or self.url

    @property
    def migration_url(self) -> str:
        return self.owner_url or self.url


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
