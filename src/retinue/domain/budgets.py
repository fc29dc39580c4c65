"""Budgets: how much may be spent on models, by whom, in which time."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec


class Subject(StrEnum):
    """Whose spending a budget bounds."""

    TENANT = "tenant"
    EMPLOYEE = "employee"
    USER = "user"
    KEY = "key"
    """Everything that was asked for with an API key, or with a token that it has made."""


class Period(StrEnum):
    """Days and months of UTC."""

    DAY = "day"
    MONTH = "month"


class SetBy(StrEnum):
    OPERATOR = "operator"
    """A tenant's credentials can neither change nor remove such a budget."""
    TENANT = "tenant"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A bound, and what has been spent of it. Several may apply to one call; then all of them bound it."""

    id: UUID
    tenant_id: UUID
    subject: Subject
    subject_id: str
    """The id of the tenant, employee, user or key."""
    period: Period
    limit_micros: int
    """Millionths of `currency`."""
    currency: str = "USD"
    soft_percent: int | None = None
    """From this share of the limit on, an alert is raised once in a period."""
    hard_stop: bool = True
    """Whether nothing may be spent beyond the limit. If not, the budget only counts and alerts."""
    set_by: SetBy
    period_start: datetime
    """Of the present period."""
    period_end: datetime
    """When the budget begins anew."""
    spent_micros: int = 0
    """In the present period: what the calls that began in it have cost, as far as that is known."""
    reserved_micros: int = 0
    """The most that calls may cost that have not ended."""
    alerted_at: datetime | None = None
    """When the alert of the present period was raised."""
    created_at: datetime
    updated_at: datetime


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """What one call holds of one budget. Stored with the call, so that whoever closes it gives it back."""

    budget_id: UUID
    period_start: datetime
    micros: int


class Quote(msgspec.Struct, frozen=True):
    """What a call may cost, in millionths. Neither is exceeded unless a count was estimated too low."""

    input_micros: int
    most_micros: int
    """With the longest answer that it may have."""


class Grant(msgspec.Struct, frozen=True):
    """What a call may cost before it is cut off."""

    micros: int
    is_whole: bool
    """Whether it is as much as the call can cost at most."""


class Alert(msgspec.Struct, frozen=True):
    """A budget has reached its soft bound, for the first time in its period."""

    budget: Budget


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """On whose account a call goes."""

    tenant_id: UUID
    employee_id: UUID
    user_id: str | None
    key_id: UUID | None

    @property
    def subjects(self) -> frozenset[tuple[Subject, str]]:
        known = {
            (Subject.TENANT, str(self.tenant_id)),
            (Subject.EMPLOYEE, str(self.employee_id)),
            (Subject.USER, self.user_id or ""),
            (Subject.KEY, str(self.key_id or "")),
        }
        return frozenset((subject, name) for subject, name in known if name)


def start_of(period: Period, at: datetime) -> datetime:
    """When the period began that a moment is in."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period is Period.DAY else day.replace(day=1)


def end_of(period: Period, start: datetime) -> datetime:
    """When the period ends that began then."""
    if period is Period.DAY:
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)
