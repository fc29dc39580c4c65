"""Which settings may start a server together."""

from collections.abc import Iterator

from retinue.settings.settings import Settings
from retinue.settings.values import is_loopback

MIN_OPERATOR_KEY_CHARS = 16


def check(settings: Settings) -> list[str]:
    """Every reason why a server must not start with these settings; empty if it may."""
    return [
        *_access(settings),
        *_processes(settings),
        *_timing(settings),
    ]


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


def _processes(settings: Settings) -> Iterator[str]:
    if settings.workers == 1:
        return
    several = f"{settings.workers} workers (RETINUE_WORKERS)"
    if settings.database.is_sqlite:
        yield f"{several} need PostgreSQL, because SQLite is for one process; set RETINUE_DATABASE_URL"
    if not settings.coordination.is_shared:
        yield f"{several} need Redis, because memory:// is for one process; set RETINUE_COORDINATION_URL"


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
