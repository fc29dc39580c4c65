"""Stop means stop: from any process, before the start, and twice."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from retinue.coordination.base import Signals
from retinue.db.session import Database, Unit
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import now
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus
from retinue.domain.signals import Signal, SignalKind
from retinue.runs.supervisor import Supervisor
from retinue.runs.turnstile import Turnstile
from retinue.runs.unrun import record_cancel, stop, withdraw
from retinue.runs.wakes import Wakes

WAIT_SECONDS = 5.0
"""How long a request waits for the end of what it cancels."""
POLL_SECONDS = 0.1


class Cancellation:
    """The wish is stored with the run, so that it outlives every process; a signal makes it quick."""

    def __init__(
        self, database: Database, supervisor: Supervisor, signals: Signals, wakes: Wakes, turnstile: Turnstile
    ) -> None:
        self._database = database
        self._wakes = wakes
        self._turnstile = turnstile
        self._supervisor = supervisor
        self._signals = signals

    async def cancel(self, tenant_id: UUID, run_id: UUID) -> Run:
        """Cancel a run and wait for its end, at most `WAIT_SECONDS`.

        Returns the run with its receipt; one that has not ended by then has none yet. A run that was cancelled before
        is returned as it is.

        Raises:
            NotFound: no such run.
            Conflict: `run_ended`, in another way; the detail says how.
        """
        # First of all: the database may be slow, the socket need not wait for it.
        self._supervisor.cancel(tenant_id, run_id)
        run = await self._ask(tenant_id, run_id)
        if run.status in ACTIVE_STATUSES:
            self._send(run)
            run = await self._end_of(run)
        if run.status not in {*ACTIVE_STATUSES, RunStatus.CANCELLED}:
            raise Conflict(f"The run has ended already: it is {run.status}.", code="run_ended")
        return run

    async def cancel_conversation(self, tenant_id: UUID, conversation_id: UUID) -> Sequence[Run]:
        """Cancel what runs in a conversation and all that waits there. Returns these runs as `cancel` does, also those
        that ended in another way meanwhile.

        Raises:
            NotFound: no such conversation.
        """
        active, withdrawn = await self._stop(tenant_id, conversation_id)
        return withdrawn if active is None else [await self._end_of(active), *withdrawn]

    async def cancel_tenant(self, tenant_id: UUID) -> None:
        """Cancel everything of a tenant, wherever it runs, and wait for the ends, at most `WAIT_SECONDS` for all."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await self._cancel_tenant(tenant_id)

    async def _cancel_tenant(self, tenant_id: UUID) -> None:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            conversations = await unit.runs.unfinished_conversations()
        stopped: list[Run] = []
        for conversation_id in conversations:
            with suppress(NotFound):
                active, _ = await self._stop(tenant_id, conversation_id)
                stopped += [active] if active else []
        await asyncio.gather(*(self._end_of(run) for run in stopped))

    async def _stop(self, tenant_id: UUID, conversation_id: UUID) -> tuple[Run | None, Sequence[Run]]:
        """What has to end now, and what has been withdrawn."""
        async with self._turnstile.through(conversation_id), self._database.unit(tenant_id) as unit:
            await unit.conversations.get_for_update(conversation_id)
            ended = [run for run in await unit.runs.queued(conversation_id) if await withdraw(unit, run, now())]
            for run in ended:
                await record_cancel(unit, run)
            active = await unit.runs.active(conversation_id)
            if active is not None and (asked := await stop(unit, active)) is None:
                ended = [active, *ended]
                active = None
            elif active is not None:
                active = asked
            ended = [await unit.runs.get(run.id) for run in ended]
        self._tell(tenant_id, conversation_id)
        if active is not None:
            self.interrupt(active)
        return active, ended

    def interrupt(self, run: Run) -> None:
        """Stop a run whose cancelling is stored already. Does not wait."""
        if not self._supervisor.cancel(run.tenant_id, run.id):
            self._send(run)

    def _send(self, run: Run) -> None:
        self._signals.send(Signal(SignalKind.CANCEL, run.tenant_id, run.id))

    def _tell(self, tenant_id: UUID, conversation_id: UUID) -> None:
        self._signals.send(Signal(SignalKind.CONVERSATION, tenant_id, conversation_id))

    async def _ask(self, tenant_id: UUID, run_id: UUID) -> Run:
        async with self._database.unit(tenant_id) as unit:
            seen = run = await unit.runs.get(run_id)
            if run.status is RunStatus.QUEUED:
                run = await self._withdraw(unit, run)
            if run.status in ACTIVE_STATUSES:
                run = await stop(unit, run) or await unit.runs.get(run_id)
        if seen.status in ACTIVE_STATUSES and run.status not in ACTIVE_STATUSES:
            self._tell(tenant_id, run.conversation_id)
            # What waits behind it has nobody to start it.
            self._signals.send(Signal(SignalKind.ORPHAN, tenant_id, run.id))
        return run

    async def _withdraw(self, unit: Unit, run: Run) -> Run:
        await unit.conversations.get_for_update(run.conversation_id)
        if await withdraw(unit, run, now()):
            await record_cancel(unit, run)
        return await unit.runs.get(run.id)

    async def _end_of(self, run: Run) -> Run:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._supervisor.ended(run.id)
                while True:
                    if (current := await self._read(run)).status not in ACTIVE_STATUSES:
                        return current
                    await self._wakes.wait(run.conversation_id, POLL_SECONDS)
        except TimeoutError:
            return await self._read(run)

    async def _read(self, run: Run) -> Run:
        async with self._database.unit(run.tenant_id, read_only=True) as unit:
            return await unit.runs.get(run.id)
