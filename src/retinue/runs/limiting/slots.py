"""Concurrent runs: how many of a tenant, a key and a user may be answered at the same time.

Nothing is counted up or down. Whoever starts a run counts the rows of those that are running, under the tenant's lock,
so that a run which ends in whatever way, or whose process is gone, can leave nothing behind.
"""

from retinue.db.repositories.limits import Used
from retinue.db.session import Unit
from retinue.domain.errors import RateLimited
from retinue.domain.limits import PARTIES, Asker, Limits, Party
from retinue.domain.runs import Run

RETRY_SECONDS = 2
"""Nobody knows when a run will end."""
_WHOSE: dict[Party, str] = {"tenant": "this tenant", "key": "this key", "user": "this user"}


async def refuse_if_full(unit: Unit, limits: Limits, asker: Asker) -> None:
    """Raises: RateLimited, `too_many_runs`."""
    if (party := await full_for_new(unit, limits, asker)) is not None:
        raise too_many_runs(limits, party)


async def full_for_new(unit: Unit, limits: Limits, asker: Asker, *, beside: int = 0) -> Party | None:
    """Whose bound forbids to start one more run; null if there is a slot, which then is the caller's until its
    transaction ends. Runs that were lost, or have just been set free by a decision, have their slots already.

    Args:
        beside: so many more are going to start.
    """
    return await _full(unit, limits, asker, only_held=False, beside=beside)


def full_among(limits: Limits, asker: Asker, used: Used, *, beside: int = 0) -> Party | None:
    """The same, where the tenant's slots are locked and the runs counted."""
    bounds = {party: bound for party in PARTIES if (bound := _bound(limits, asker, party)) is not None}
    return next((party for party, bound in bounds.items() if getattr(used, party) + beside >= bound), None)


async def full_for_resumed(unit: Unit, limits: Limits, run: Run) -> Party | None:
    """The same for a run that has started before. Only runs that some process really has are in its way."""
    if run.cancel_requested_at is not None:
        return None  # it is taken up in order to end
    return await _full(unit, limits, asker_of(run), only_held=True)


def asker_of(run: Run) -> Asker:
    return Asker(tenant_id=run.tenant_id, key_id=run.key_id, user_id=run.user_id)


def too_many_runs(limits: Limits, party: Party) -> RateLimited:
    bound = limits.of(party).concurrent_runs
    return RateLimited(
        f"{bound} answers of {_WHOSE[party]} are being written, and no more may at the same time.",
        code="too_many_runs",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


async def _full(unit: Unit, limits: Limits, asker: Asker, *, only_held: bool, beside: int = 0) -> Party | None:
    if all(_bound(limits, asker, party) is None for party in PARTIES):
        return None
    await unit.limits.lock_slots()
    used = await unit.limits.count_runs(key_id=asker.key_id, user_id=asker.user_id, only_held=only_held)
    return full_among(limits, asker, used, beside=beside)


def _bound(limits: Limits, asker: Asker, party: Party) -> int | None:
    return None if asker.name(party) is None else limits.of(party).concurrent_runs
