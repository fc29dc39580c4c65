"""Whether a bound on concurrent runs is reached, as a condition for a search over all tenants."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.conditions import OTHER_RUN, is_at_work, is_held
from retinue.domain.limits import PARTIES, Limits, Party


def is_full(defaults: Limits, *, held_at: sa.ColumnElement[datetime] | None = None) -> sa.ColumnElement[bool]:
    """Whether as many other runs are running as the bounds of this one's tenant, key and user allow.

    Args:
        defaults: bounds for tenants that have none of their own.
        held_at: count only runs whose lease lasts beyond this time.
    """
    return sa.or_(*(_is_full(party, defaults, held_at) for party in PARTIES))


def _is_full(party: Party, defaults: Limits, held_at: sa.ColumnElement[datetime] | None) -> sa.ColumnElement[bool]:
    own: Any = getattr(t.TenantLimits, f"{party}_concurrent_runs")
    chosen = sa.select(own).where(t.TenantLimits.tenant_id == t.Run.tenant_id).correlate(t.Run).scalar_subquery()
    bound = sa.func.coalesce(chosen, defaults.of(party).concurrent_runs or 0)
    # Without a bound nothing is counted.
    return sa.case((bound > 0, bound <= _running(party, held_at)), else_=sa.false())


def _running(party: Party, held_at: sa.ColumnElement[datetime] | None) -> sa.ScalarSelect[int]:
    statement = sa.select(sa.func.count()).where(OTHER_RUN.tenant_id == t.Run.tenant_id, is_at_work(OTHER_RUN))
    if party == "key":
        statement = statement.where(OTHER_RUN.key_id == t.Run.key_id)
    elif party == "user":
        statement = statement.where(OTHER_RUN.user_id == t.Run.user_id)
    if held_at is not None:
        statement = statement.where(is_held(held_at, OTHER_RUN))
    return statement.correlate(t.Run).scalar_subquery()
