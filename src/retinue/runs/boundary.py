"""Between two steps: what is complete is stored, and messages that were appended meanwhile are taken."""

from collections.abc import Sequence
from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.errors import ProcessLost
from retinue.domain.events import RecordedEvent
from retinue.domain.messages import Message
from retinue.domain.model_io import AssistantTurn, Turn, UserTurn
from retinue.domain.runs import Checkpoint, Run
from retinue.runs.calls.journal import Journal
from retinue.runs.recorder import Recorder
from retinue.runs.storing import persistently

_Found = dict[UUID, tuple[Message, RecordedEvent]]
"""The messages that a boundary takes, and what is told of each, in their order."""


class Boundary:
    """One transaction per completed step: its events, its checkpoint, and the messages it hands to the next step."""

    __slots__ = ("_database", "_journal", "_recorder", "_run", "taken")

    def __init__(self, database: Database, run: Run, recorder: Recorder, journal: Journal, *, taken: int = 0) -> None:
        self._database = database
        self._run = run
        self._recorder = recorder
        self._journal = journal
        self.taken = taken
        """Appended messages that the run has taken so far."""

    async def cross(self, step: int, turns: Sequence[Turn], *, is_last: bool = False) -> Sequence[UserTurn]:
        """Complete a step that added `turns`. Returns the messages that the next step has to answer, too.

        Args:
            is_last: there is a next step only if there is such a message; if not, nothing is stored.

        Raises:
            ProcessLost: the run belongs to another process, or was deleted.
            StorageFailed, Unavailable: the database did not take it for a while.
        """
        found: _Found = {}
        is_stored = False
        try:
            await persistently(lambda: self._store(step, turns, found, is_last=is_last))
            is_stored = True
        finally:
            self._recorder.tell([event for _, event in found.values()], is_stored=is_stored)
        self._journal.forget()
        self.taken += len(found)
        return _as_turns(found)

    async def _store(self, step: int, turns: Sequence[Turn], found: _Found, *, is_last: bool) -> None:
        recorder = self._recorder
        async with recorder.writing:
            events = recorder.take_unstored()
            try:
                async with self._database.unit(self._run.tenant_id) as unit:
                    waiting = await unit.messages.appended(self._run.id)
                    # An earlier try may have been committed although its answer got lost: what it took does not wait.
                    for message in waiting:
                        if message.id not in found:
                            found[message.id] = message, recorder.seal(e.MessageAppended(user_message_id=message.id))
                    told = [event for _, event in found.values()]
                    await unit.run_events.add(self._run.id, self._run.attempt, [*events, *told])
                    await self._journal.flush(unit)
                    if found or not is_last:
                        await self._check_in(unit, step, (*turns, *_as_turns(found)))
                    for message in waiting:
                        await unit.messages.take(message.id, self._run.message_id)
            except BaseException:
                recorder.put_back(events)
                raise

    async def _check_in(self, unit: Unit, step: int, turns: tuple[Turn, ...]) -> None:
        # The messages' events belong to the step: they tell what its last turns are.
        checkpoint = Checkpoint(run_id=self._run.id, step=step, position=self._recorder.position, turns=turns)
        if not await unit.checkpoints.add(checkpoint, self._run.attempt):
            raise ProcessLost


def count_taken(checkpoints: Sequence[Checkpoint]) -> int:
    """Messages that were taken at these boundaries."""
    return sum(isinstance(turn, UserTurn) for checkpoint in checkpoints for turn in checkpoint.turns)


def is_planned(checkpoint: Checkpoint) -> bool:
    """Whether the step's tool calls are still to be worked off."""
    last = checkpoint.turns[-1] if checkpoint.turns else None
    return isinstance(last, AssistantTurn) and bool(last.tool_calls)


def turns_of(checkpoints: Sequence[Checkpoint]) -> tuple[Turn, ...]:
    return tuple(turn for checkpoint in checkpoints for turn in checkpoint.turns)


def last_taking(checkpoints: Sequence[Checkpoint]) -> int:
    """The newest step at whose boundary messages were taken; 0 if there is none."""
    return max((checkpoint.step for checkpoint in checkpoints if count_taken([checkpoint])), default=0)


def _as_turns(found: _Found) -> list[UserTurn]:
    return [UserTurn(message.content) for message, _ in found.values()]
