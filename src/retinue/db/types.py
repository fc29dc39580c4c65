"""Column types that mean the same on every database.

They say what to do with values as processors, which are called as they are: SQLAlchemy puts a call of its own around
`process_bind_param` and `process_result_value`, and a turn has a hundred values.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from retinue.domain.encoding import encode_text
from retinue.domain.text import clean

E = TypeVar("E", bound=StrEnum)
Processor = Callable[[Any], Any]
_LENGTH = len("2026-11-30 12:00:00.000000")


class Instant(TypeDecorator[datetime]):
    """A moment, in UTC and with its zone. SQLite keeps no zone, so the value is stored there as naive UTC, as
    text with six fractional digits, whose order is the order in time.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Processor:
        return _text_of_moment if dialect.name == "sqlite" else _moment

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:  # noqa: ARG002
        if dialect.name != "sqlite":
            return None  # asyncpg gives UTC with its zone
        return lambda text: None if text is None else datetime.fromisoformat(text + "Z")


class CleanText(TypeDecorator[str]):
    """Text without NUL and lone surrogates, which only some databases refuse. The edge cleans; this is the last net."""

    impl = sa.Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Processor:  # noqa: ARG002
        return lambda text: None if text is None else clean(text)


class Word(TypeDecorator[E], Generic[E]):
    """A member of an enumeration, stored as its value."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def bind_processor(self, dialect: Dialect) -> Processor:  # noqa: ARG002
        kind = self.kind
        return lambda word: None if word is None else (word if type(word) is kind else kind(word))._value_

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:  # noqa: ARG002
        members = {member.value: member for member in self.kind}
        return lambda text: None if text is None else members[text]


class Json(TypeDecorator[Any]):
    """A msgspec value as JSON. None is the SQL null, never the JSON one."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True
    coerce_to_is_types = (type(None),)

    def __init__(self, kind: Any = Any) -> None:
        super().__init__()
        self.kind = kind

    def bind_processor(self, dialect: Dialect) -> Processor:  # noqa: ARG002
        return lambda value: None if value is None else encode_text(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:  # noqa: ARG002
        """From the text at once."""
        decode = msgspec.json.Decoder(self.kind).decode
        return lambda text: None if text is None else decode(text)


class AnyJson(Json):
    """One that may be a bare number. SQLite would make a number of its text in a column that is declared as JSON."""

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Text()) if dialect.name == "sqlite" else super().load_dialect_impl(dialect)


def _moment(value: Any) -> Any:
    if value is not None and value.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return value


def _text_of_moment(value: Any) -> str | None:
    if _moment(value) is None:
        return None
    text: str = value.astimezone(UTC).isoformat(" ", "microseconds")
    return text[:_LENGTH]
