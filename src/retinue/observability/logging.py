"""Log lines: structured, one per event, from structlog and the standard library alike, without secrets.

Use `structlog.get_logger(__name__)` anywhere; what is bound with `structlog.contextvars` (`request_id`, `tenant_id`,
`run_id`) appears on every line of the task that bound it and of those it started.
"""

import json
import logging
import re
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from retinue.observability.redaction import MASK, Redactor, is_sensitive, masked

QUIET = frozenset(
    {
        "aiosqlite",
        "alembic",
        "anthropic",
        "asyncio",
        "asyncpg",
        "hpack",
        "httpcore",
        "httpcore2",
        "httpx",
        "httpx2",
        "hypercorn",
        "openai",
        "redis",
        "sqlalchemy",
        "sse_starlette",
    }
)
"""Libraries that write bodies, headers, URLs, SQL or frames below WARNING."""

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_is_sensitive = lru_cache(maxsize=256)(is_sensitive)
"""For the names of what a line says, which are written in the code."""
_AS_IT_IS = frozenset({"exc_info", "stack", "_record", "_from_structlog"})
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def configure(
    *,
    format: Literal["console", "json"],  # noqa: A002  the setting's own name
    level: str,
    redactor: Redactor,
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (standard error unless given). May be called again."""
    output = stream or sys.stderr
    handler = _Handler(output)
    handler.setFormatter(_Formatter(redactor, _renderer(format, colors=output.isatty())))
    handler.addFilter(_speaks_up)
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, _Formatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_shared(),
            _for_formatter,
        ],
        logger_factory=logging.getLogger,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _harmless,
    ]


def _renderer(form: str, *, colors: bool) -> list[Processor]:
    if form == "json":
        # Plain text for tracebacks: structlog's structured ones carry the local variables of every frame.
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]


def _json(event: EventDict, **_: Any) -> str:
    return _encode(event)


class _Event(dict[str, Any]):
    """What a line of structlog's says, on its way to the formatter."""


def _for_formatter(logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[_Event], dict[str, Any]]:
    del logger, method
    return (_Event(event),), {}


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line, so that a secret in a message, a value or a traceback has no other way out."""

    def __init__(self, redactor: Redactor, renderer: list[Processor]) -> None:
        remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(processors=[remove, *renderer], foreign_pre_chain=_shared())
        self._redactor = redactor
        self._renderer = renderer

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.redact(
            self._rendered(record.msg) if type(record.msg) is _Event else super().format(record)
        )

    def _rendered(self, event: _Event) -> str:
        """Without a record of its own, of which nothing is shown."""
        line: Any = event.copy()
        for render in self._renderer:
            line = render(None, "", line)
        return str(line)


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """What cannot be written is told of without being shown: Python's own way prints the message as it is."""
        error = sys.exc_info()[0]
        with suppress(OSError, ValueError):
            why = error.__name__ if error is not None else "unknown"
            self.stream.write(f"a line of {_printable(record.name)} could not be written: {why}\n")


def _harmless(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Mask by name, and escape what could forge a line or steer a terminal."""
    del logger, method
    return {key: value if key in _AS_IT_IS else _shown(key, value) for key, value in event.items()}


def _shown(key: str, value: Any) -> Any:
    return MASK if _is_sensitive(key) else _printable(masked(value))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        if value.isprintable():
            return value
        return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value if isinstance(value, int | float | bool | None) else _printable(str(value))


def _speaks_up(record: logging.LogRecord) -> bool:
    """A library may lower its own level after us (the SDKs do when `OPENAI_LOG` is set): decide again at the exit."""
    if record.levelno >= logging.WARNING:
        return True
    return record.name.partition(".")[0] not in QUIET
