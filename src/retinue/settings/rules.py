"""Which settings may start a server together."""

from collections.abc import Iterator

from retinue.settings.settings import Settings
from retinue.settings.values import is_loopback, url_user

MIN_OPERATOR_KEY_CHARS = 16


def check(settings: Settings) -> list[str]:
    """Every reason why a server must not start with these settings; empty if it may."""
    return [
        *_access(settings),
        *_database(settings),
        *_processes(settings),
        *_metrics(settings),
        *_timing(settings),
    ]


def check_migration(settings: Settings) -> list[str]:
    """Every reason why a database must not be migrated with these settings; empty if it may."""
    return list(_database(settings, is_migrated=True))


def _access(settings: Settings) -> Iterator[str]:
    if settings.is_open:
        if not is_loopback(settings.host):
            reason = "open mode (no operator key) is for a loopback address"
            yield f"{reason}; set RETINUE_OPERATOR_KEY to listen on {settings.host}"
        if not settings.database.is_sqlite:
            yield "open mode (no operator key) is for SQLite; set RETINUE_OPERATOR_KEY to use PostgreSQL"
        return
    key = settings.operator_key.get_secret_value()
    if len(key) < MIN_OPERATOR_KEY_CHARS:
        yield f"the operator key (RETINUE_OPERATOR_KEY) needs at least {MIN_OPERATOR_KEY_CHARS} characters"
    if not key.isascii() or not key.isprintable() or " " in key:
        yield "the operator key (RETINUE_OPERATOR_KEY) must be visible ASCII, or no HTTP header could carry it"
    if not settings.master_keys.get_secret_value():
        yield "master keys are missing; set RETINUE_MASTER_KEYS to <id>:<base64 of 32 bytes>"


def _database(settings: Settings, *, is_migrated: bool = False) -> Iterator[str]:
    """One user for each purpose: that one tenant's code cannot see another's rows rests on it."""
    database = settings.database
    further = {"RETINUE_DATABASE_JOBS_URL": database.jobs_url, "RETINUE_DATABASE_OWNER_URL": database.owner_url}
    if database.is_sqlite:
        for name, url in further.items():
            if url:
                yield f"{name} is for PostgreSQL; SQLite knows no users"
        return
    if not database.jobs_url:
        yield "RETINUE_DATABASE_JOBS_URL is missing: PostgreSQL needs a second user, who may see all tenants"
    if is_migrated and not database.owner_url:
        yield "RETINUE_DATABASE_OWNER_URL is missing: `retinue migrate` needs the user that owns the tables"
    yield from _users({"RETINUE_DATABASE_URL": database.url, **further})


def _users(urls: dict[str, str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, url in urls.items():
        if not url:
            continue
        if url.startswith("sqlite"):
            yield f"{name} must be a URL of PostgreSQL, as RETINUE_DATABASE_URL is"
            continue
        user = url_user(url)
        if user is None:
            yield f"{name} must name its user: postgresql+asyncpg://<user>:<password>@<host>/<database>"
        elif user in seen:
            yield f"{name} and {seen[user]} must name different users"
        else:
            seen[user] = name


def _processes(settings: Settings) -> Iterator[str]:
    if settings.workers == 1:
        return
    several = f"{settings.workers} workers (RETINUE_WORKERS)"
    if settings.database.is_sqlite:
        yield f"{several} need PostgreSQL, because SQLite is for one process; set RETINUE_DATABASE_URL"
    if not settings.coordination.is_shared:
        yield f"{several} need Redis, because memory:// is for one process; set RETINUE_COORDINATION_URL"


def _metrics(settings: Settings) -> Iterator[str]:
    first = settings.metrics.port
    last = first + settings.workers - 1
    if first and last > 65535:
        yield f"metrics.port {first} leaves no port for the last of {settings.workers} workers"
    if first and first <= settings.port <= last:
        yield f"the metrics need a port of their own (metrics.port), not {settings.port}, where the API is served"


def _timing(settings: Settings) -> Iterator[str]:
    provider, limits = settings.provider, settings.limits
    if limits.max_output_tokens >= limits.context_tokens:
        yield "limits.max_output_tokens must be smaller than limits.context_tokens, or no prompt fits"
    if provider.max_delay_seconds < provider.base_delay_seconds:
        yield "provider.max_delay_seconds must not be smaller than provider.base_delay_seconds"
    if provider.total_seconds < provider.first_token_seconds:
        yield "provider.total_seconds must not be smaller than provider.first_token_seconds"
    if provider.max_turn_bytes < provider.max_line_bytes:
        yield "provider.max_turn_bytes must not be smaller than provider.max_line_bytes"
    if settings.tools.fetch_seconds > settings.tools.seconds:
        yield "tools.fetch_seconds must not be larger than tools.seconds"
    if settings.workspace.enabled and settings.workspace.seconds > settings.tools.seconds:
        yield "workspace.seconds must not be larger than tools.seconds"
