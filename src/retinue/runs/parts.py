"""What a runner works with: the parts of one run, and how they know each other."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain import events as e
from retinue.domain.model_io import Turn
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import Run
from retinue.domain.secret import Secret
from retinue.providers.base import Provider
from retinue.runs.boundary import Boundary
from retinue.runs.calls.acting import Acting
from retinue.runs.calls.journal import Journal, Plan
from retinue.runs.calls.permissions import Permissions
from retinue.runs.calls.toolbox import Toolbox
from retinue.runs.concluding import Conclusion
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.event_writer import EventWriter
from retinue.runs.ledger import CallLedger
from retinue.runs.limiting.slots import asker_of
from retinue.runs.limiting.tokens import RunTokens, TokenMeter
from retinue.runs.loop import Loop
from retinue.runs.recorder import Recorder
from retinue.runs.waiting.pausing import Pausing


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """From where a runner takes a run on."""

    draft: Draft
    opening: Sequence[e.RunEvent] = ()
    """The first events that it records."""
    completed_steps: int = 0
    turns: tuple[Turn, ...] = ()
    """What the completed steps added to the conversation with the model."""
    taken: int = 0
    """Appended messages that are among the turns or the history."""
    counted_from: int = 0
    """The completed step behind which the bound on steps begins."""
    plan: Plan | None = None
    """Tool calls that were planned and not all worked off."""
    told: frozenset[UUID] = frozenset()
    """The approvals whose decisions are in the log or in the opening."""
    passwords: Mapping[str, Secret] = {}
    """What a person has supplied, by the calls' ids."""


class Parts:
    """Everything that belongs to one run in this process."""

    def __init__(
        self,
        *,
        run: Run,
        context: RunContext,
        provider: Provider,
        recorder: Recorder,
        writer: EventWriter,
        database: Database,
        retries: RetryPolicy,
        beginning: Beginning,
        toolbox: Toolbox,
        tokens: TokenMeter,
    ) -> None:
        self.run = run
        self.context = context
        self.provider = provider
        self.recorder = recorder
        self.writer = writer
        self.database = database
        self.opening = beginning.opening
        self.draft = beginning.draft
        self.ledger = CallLedger(
            database=database,
            run=run,
            pricing=context.pricing,
            recorder=recorder,
            draft=self.draft,
            first_request=lambda: context.model_request(beginning.turns),
            first_step=beginning.completed_steps + 1,
        )
        journal = Journal(database, run, recorder, self.ledger)
        self.boundary = Boundary(database, run, recorder, journal, taken=beginning.taken)
        self.acting = Acting(
            toolbox=toolbox,
            journal=journal,
            permissions=Permissions(database, run, told=beginning.told),
            recorder=recorder,
            draft=self.draft,
            limits=context.limits,
            passwords=beginning.passwords,
        )
        self.loop = Loop(
            context=context,
            provider=provider,
            recorder=recorder,
            draft=self.draft,
            ledger=self.ledger,
            retries=retries,
            boundary=self.boundary,
            acting=self.acting,
            tokens=RunTokens(tokens, asker_of(run)),
            completed_steps=beginning.completed_steps,
            turns=beginning.turns,
            counted_from=beginning.counted_from,
            plan=beginning.plan,
        )
        self.pausing = Pausing(
            database=database,
            run=run,
            recorder=recorder,
            ledger=self.ledger,
            draft=self.draft,
            journal=journal,
            wait_seconds=context.limits.approval_seconds,
            password_tries=context.limits.password_tries,
        )
        self.conclusion = Conclusion(
            database=database, run=run, recorder=recorder, ledger=self.ledger, draft=self.draft, journal=journal
        )
