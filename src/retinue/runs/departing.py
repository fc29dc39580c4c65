"""Parting with a run that has not ended."""

from retinue.db.session import Database
from retinue.domain.runs import Run
from retinue.runs.ledger import CallLedger
from retinue.runs.recorder import Recorder
from retinue.runs.storing import persistently


async def hand_over(database: Database, run: Run, recorder: Recorder, ledger: CallLedger) -> None:
    """Store what there is and release the lease, in one transaction: whoever finds the run finds all of it. A tool call
    that was being made stays `executing`: whoever goes on knows that it may have taken effect.

    Raises:
        Unavailable, StorageFailed: the database did not take it for a while; then the lease has to expire.
    """

    async def store() -> None:
        async with recorder.writing:
            events = recorder.take_unstored()
            try:
                async with database.unit(run.tenant_id) as unit:
                    await unit.run_events.add(run.id, run.attempt, events)
                    await ledger.write_closings(unit)
                    await unit.runs.release(run.id, run.attempt)
            except BaseException:
                recorder.put_back(events)
                raise

    await persistently(store)


async def let_go(database: Database, run: Run, ledger: CallLedger) -> None:
    """Book the calls that this process made for a run that is not its any more: the money is spent. A row that the new
    owner has closed stays as it is.
    """
    if ledger.has_closings:
        async with database.unit(run.tenant_id) as unit:
            await ledger.write_closings(unit)
