"""Bodies of budget requests."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from retinue.domain.budgets import Period, Subject
from retinue.http.schemas import NOT_BLANK, RequestBody

MAX_MICROS = 2**53 - 1
"""What every JSON reader keeps exactly."""

Micros = Annotated[int, Meta(ge=0, le=MAX_MICROS, examples=[50_000_000])]
Percent = Annotated[int, Meta(ge=1, le=100, examples=[80])]
SubjectId = Annotated[str, Meta(min_length=1, max_length=255, pattern=NOT_BLANK)]


class BudgetCreate(RequestBody, frozen=True, kw_only=True):
    subject: Subject
    subject_id: SubjectId | None = None
    """The id of the employee, user or key. May be left out for the tenant itself."""
    period: Period
    limit_micros: Micros
    """Millionths of a US dollar that may be spent in each period. Nothing, if it is 0."""
    soft_percent: Percent | None = None
    """From this share of the limit on, an alert is raised once in a period."""
    hard_stop: bool = True
    """Whether nothing may be spent beyond the limit. If not, the budget only counts and alerts."""


class BudgetUpdate(RequestBody, frozen=True, kw_only=True):
    """What is left out stays."""

    limit_micros: Micros | UnsetType = UNSET
    soft_percent: Percent | UnsetType | None = UNSET
    hard_stop: bool | UnsetType = UNSET
