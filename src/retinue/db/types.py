"""Column types that mean the same on every database."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from retinue.domain.text import clean

E = TypeVar("E", bound=StrEnum)


class Instant(TypeDecorator[datetime]):
    """A moment, in UTC and with its zone. SQLite keeps no zone, so the value is stored there as naive UTC, as
    text with six fractional digits, whose order is the order in time.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text without NUL and lone surrogates, which only some databases refuse. The edge cleans; this is the last net."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else clean(value)


class Word(TypeDecorator[E], Generic[E]):
    """A member of an enumeration, stored as its value."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return value.value if type(value) is self.kind else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:  # noqa: ARG002
        return None if value is None else self.kind(value)


class Json(TypeDecorator[Any]):
    """A msgspec value as JSON. None is the SQL null, never the JSON one."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True
    coerce_to_is_types = (type(None),)

    def __init__(self, kind: Any = Any) -> None:
        super().__init__()
        self.kind = kind

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """From the text at once."""
        decode = msgspec.json.Decoder(self.kind).decode
        return lambda text: None if text is None else decode(text)
