"""What this process does about signals and about the ends of its own runs."""

import asyncio
from uuid import UUID

from retinue.domain.runs import Run
from retinue.domain.signals import Signal, SignalKind
from retinue.runs.dispatcher import Dispatcher
from retinue.runs.errands import Errands
from retinue.runs.supervisor import Supervisor
from retinue.runs.wakes import Wakes


class Switchboard:
    def __init__(self, *, supervisor: Supervisor, dispatcher: Dispatcher, wakes: Wakes, errands: Errands) -> None:
        self._supervisor = supervisor
        self._dispatcher = dispatcher
        self._wakes = wakes
        self._errands = errands
        self._with_queue: set[UUID] = set()
        """Conversations with a run here and with others behind it."""
        self.look_around = asyncio.Event()
        """Set when somewhere a run may be without a process."""

    def hear(self, signal: Signal) -> None:
        match signal.kind:
            case SignalKind.CANCEL:
                self._supervisor.cancel(signal.tenant_id, signal.subject)
            case SignalKind.QUEUE:
                if self._supervisor.runs_in(signal.subject):
                    self._with_queue.add(signal.subject)
            case SignalKind.CONVERSATION:
                self._wakes.wake(signal.subject)
            case SignalKind.ORPHAN:
                self.look_around.set()
            case SignalKind.TENANT:
                self._supervisor.cancel_tenant(signal.tenant_id)
                # Whoever follows one of its conversations finds out that there is none.
                self._wakes.wake_all()

    def run_ended(self, run: Run) -> None:
        """Start what waited behind it. What was not noticed here is found by the next look around."""
        self._wakes.wake(run.conversation_id)
        if self._dispatcher.was_crowded(run.tenant_id):
            self.look_around.set()
        if run.conversation_id in self._with_queue and not self._supervisor.runs_in(run.conversation_id):
            self._with_queue.discard(run.conversation_id)
            self._errands.send(self._start_behind(run), "start-next")

    async def _start_behind(self, run: Run) -> None:
        await self._dispatcher.start_next(run.tenant_id, run.conversation_id, in_turn=True)
        if self._dispatcher.was_crowded(run.tenant_id):
            self.look_around.set()
