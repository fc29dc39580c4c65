"""Answers of the runs resource."""

from uuid import UUID

import msgspec

from retinue.domain.runs import ACTIVE_STATUSES, CancelReceipt, Run, RunStatus


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the wish to cancel a run."""

    run_id: UUID
    status: RunStatus
    """`cancelled`; or the active status of a run that is still on its way to its end."""
    receipt: CancelReceipt | None
    """What stopping it did and what it had cost by then; null while it has not ended."""

    @property
    def is_complete(self) -> bool:
        return self.status not in ACTIVE_STATUSES


def cancellation_of(run: Run) -> Cancellation:
    return Cancellation(run_id=run.id, status=run.status, receipt=run.receipt)
