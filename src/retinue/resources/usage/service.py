"""What can be asked about usage."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain.errors import FieldError, InvalidRequest
from retinue.domain.ids import now
from retinue.domain.spending import Grouping, UsageRow
from retinue.http.pagination import Page, invalid_cursor, key_after, key_cursor

DEFAULT_RANGE = timedelta(days=30)
LONGEST_RANGE = timedelta(days=400)


class Range(msgspec.Struct, frozen=True):
    since: datetime
    until: datetime
    """Not in it."""


class UsageService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def summarize(
        self, tenant_id: UUID, grouping: Grouping, asked: Range, *, limit: int, cursor: str | None
    ) -> Page[UsageRow]:
        """In the order of the groups' keys.

        Raises:
            InvalidRequest: `invalid_cursor`.
        """
        after = key_after(cursor)
        try:
            async with self._database.unit(tenant_id, read_only=True) as unit:
                rows = await unit.usage.summarize(
                    grouping, since=asked.since, until=asked.until, limit=limit + 1, after=after
                )
        except ValueError:
            raise invalid_cursor() from None
        shown = rows[:limit]
        return Page(items=shown, next_cursor=key_cursor(shown[-1].key) if len(rows) > limit else None)


def range_of(since: datetime | None, until: datetime | None) -> Range:
    """What was asked for: the last 30 days before `until`, which is now, unless it is said otherwise.

    Raises:
        InvalidRequest: a time without a zone, or a range that is too long or ends before it begins.
    """
    errors: list[FieldError] = []
    end = _in_utc("to", until, errors) or now()
    begin = _in_utc("from", since, errors) or end - min(DEFAULT_RANGE, end - datetime.min.replace(tzinfo=UTC))
    if not errors and not timedelta(0) <= end - begin <= LONGEST_RANGE:
        errors.append(FieldError(parameter="from", detail=f"Before `to`, and at most {LONGEST_RANGE.days} days."))
    if errors:
        raise InvalidRequest(f"Not valid: {errors[0].parameter}.", errors=tuple(errors))
    return Range(begin, end)


def _in_utc(name: str, at: datetime | None, errors: list[FieldError]) -> datetime | None:
    if at is None:
        return None
    try:
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except OverflowError:
        pass
    errors.append(FieldError(parameter=name, detail="A time with its zone, such as 2026-11-20T08:00:00Z."))
    return None
