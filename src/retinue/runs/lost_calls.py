"""The bill of a process that is gone: what it had asked the model for and could not book any more."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain.errors import ProcessLost
from retinue.domain.events import RecordedEvent, UsageRecorded
from retinue.domain.model_io import Turn
from retinue.domain.runs import CallOutcome, LedgerEntry, Run
from retinue.domain.usage import Cost, Provenance, Usage
from retinue.providers.estimate import estimate_tokens, estimate_usage
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.lease import Lease
from retinue.runs.replay import events_of_step, pieces

_ORPHANS_AT_ONCE = 500


async def settle_calls(
    unit: Unit,
    run: Run,
    draft: Draft,
    events: Sequence[RecordedEvent],
    *,
    context: RunContext | None = None,
    turns: Sequence[Turn] = (),
    at: datetime,
) -> None:
    """Close the open rows of the run's ledger and put all of its calls into the draft.

    An open call counts as the events of its attempt and step say: with the usage that was recorded, if that reached the
    log; the newest one else with an estimate of what did. Without a context the estimated input stays unknown. A call
    of which nothing reached the log stays unknown.

    Args:
        events: all that are stored and count.
    """
    entries = await unit.ledger.list(run.id)
    opened = [entry for entry in entries if entry.outcome is CallOutcome.OPEN]
    for entry in entries:
        if entry.outcome is not CallOutcome.OPEN:
            draft.add_call(entry.usage, entry.cost)
    for entry in opened:
        own = events_of_step(events, entry.attempt, entry.step)
        bill = _recorded(own) or (_estimated(entry, own, context, turns) if entry is opened[-1] else _Bill())
        await unit.ledger.close(
            entry.id,
            outcome=bill.outcome,
            usage=bill.usage,
            cost=bill.cost,
            error_code=None if bill.outcome is CallOutcome.COMPLETED else ProcessLost.code,
            at=at,
        )
        draft.add_call(bill.usage, bill.cost)


class _Bill(msgspec.Struct, frozen=True, kw_only=True):
    outcome: CallOutcome = CallOutcome.ABORTED
    usage: Usage | None = None
    cost: Cost | None = None


def _recorded(own: Sequence[RecordedEvent]) -> _Bill | None:
    """The call was over, and only the row was not closed yet."""
    for recorded in own:
        if isinstance(known := recorded.event, UsageRecorded):
            return _Bill(outcome=CallOutcome.COMPLETED, usage=known.usage, cost=known.cost)
    return None


def _estimated(
    entry: LedgerEntry, own: Sequence[RecordedEvent], context: RunContext | None, turns: Sequence[Turn]
) -> _Bill:
    usage = _estimate(own, context, turns)
    return _Bill(usage=usage, cost=_cost(entry, usage, context))


def _estimate(own: Sequence[RecordedEvent], context: RunContext | None, turns: Sequence[Turn]) -> Usage | None:
    text, reasoning, arguments = pieces(own)
    if not (text or reasoning or arguments):
        return None
    if context is not None:
        return estimate_usage(context.model_request(turns), text=text, reasoning=reasoning, arguments=arguments)
    thought = estimate_tokens(reasoning)
    return Usage(
        output_tokens=estimate_tokens(text) + estimate_tokens(arguments) + thought,
        reasoning_tokens=thought or None,
        provenance=Provenance.ESTIMATED,
    )


def _cost(entry: LedgerEntry, usage: Usage | None, context: RunContext | None) -> Cost | None:
    """Known only together with the input, and with the address that decides about the price."""
    if usage is None or context is None:
        return None
    return context.pricing_of(entry.provider, entry.model).cost(usage)


async def close_orphaned_calls(database: Database, lease: Lease) -> int:
    """Close ledger rows that nobody will close: their process died and their run was deleted. What they held of budgets
    is given back. Returns how many.
    """
    async with database.operator(read_only=True) as operator:
        orphans = await operator.orphaned_calls(lease.seconds, _ORPHANS_AT_ONCE)
    closed = 0
    for tenant_id, call_id in orphans:
        async with database.unit(tenant_id) as unit:
            closed += await unit.ledger.close(
                call_id,
                outcome=CallOutcome.ABORTED,
                usage=None,
                cost=None,
                error_code=ProcessLost.code,
                at=await unit.clock(),
            )
    return closed
