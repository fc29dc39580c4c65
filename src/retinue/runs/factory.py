"""Makes runners: for a new run, for one that waited, and for one whose process is gone."""

from retinue.coordination.base import EventLog
from retinue.crypto import Keyring
from retinue.db.repositories.turns import Cast
from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.domain.policy import RetryPolicy, RunLimits
from retinue.domain.runs import Run, RunOptions
from retinue.providers.base import Provider, ProviderConfig
from retinue.providers.registry import ProviderRegistry
from retinue.runs.calls.toolbox import Toolbox
from retinue.runs.context import RunContext, load_context
from retinue.runs.draft import Draft
from retinue.runs.event_writer import EventWriter
from retinue.runs.lease import Lease
from retinue.runs.limiting.tokens import TokenMeter
from retinue.runs.parts import Beginning, Parts
from retinue.runs.recorder import Recorder
from retinue.runs.runner import Runner
from retinue.tools.base import Caller
from retinue.tools.registry import ToolRegistry


class RunnerFactory:
    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        providers: ProviderRegistry,
        tools: ToolRegistry,
        log: EventLog,
        writer: EventWriter,
        limits: RunLimits,
        retries: RetryPolicy,
        lease: Lease,
        tokens: TokenMeter,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._providers = providers
        self._tools = tools
        self._log = log
        self._writer = writer
        self._retries = retries
        self._tokens = tokens
        self.limits = limits
        self.lease = lease

    async def context(
        self,
        unit: Unit,
        conversation: Conversation,
        content: str,
        options: RunOptions,
        *,
        position: int,
        cast: Cast | None = None,
    ) -> RunContext:
        """Everything that the run needs to know, read now, except for a `cast` that was read before.

        Raises:
            Conflict: `provider_not_configured` or `employee_deleted`.
            InvalidRequest: `message_exceeds_context`.
            SecretUnreadable: the provider's key cannot be opened.
        """
        return await load_context(
            unit,
            conversation,
            content,
            options,
            keyring=self._keyring,
            limits=self.limits,
            tools=self._tools,
            position=position,
            cast=cast,
        )

    async def stored_context(self, unit: Unit, run: Run) -> RunContext:
        """The context of a run whose message has been stored before; also raises NotFound."""
        conversation = await unit.conversations.get(run.conversation_id)
        question = await unit.messages.get(run.user_message_id)
        return await self.context(unit, conversation, question.content, run.options, position=question.position)

    def first(self, run: Run, context: RunContext, asked_at: float) -> Runner:
        """A runner for a run of which nothing is recorded yet."""
        beginning = Beginning(draft=self.draft(), opening=(run_started(run),))
        return self.make(run, context, beginning, asked_at)

    def draft(self) -> Draft:
        return Draft(max_chars=self.limits.max_answer_chars)

    def make(
        self, run: Run, context: RunContext, beginning: Beginning, asked_at: float, *, seq: int = 0, earlier: int = 0
    ) -> Runner:
        """A runner that takes the run on.

        Args:
            asked_at: when the database was asked for the lease, in the time of `lease.clock`.
            seq: events of this attempt that are stored already.
            earlier: stored events of earlier attempts.

        Raises:
            Conflict: `provider_not_usable`.
        """
        return Runner(
            Parts(
                run=run,
                context=context,
                provider=self._open(context.provider),
                recorder=self._recorder(run, asked_at, seq=seq, earlier=earlier),
                writer=self._writer,
                database=self._database,
                retries=self._retries,
                beginning=beginning,
                toolbox=self._toolbox(run, context),
                tokens=self._tokens,
            )
        )

    def _recorder(self, run: Run, asked_at: float, *, seq: int, earlier: int) -> Recorder:
        return Recorder(
            tenant_id=run.tenant_id,
            run_id=run.id,
            attempt=run.attempt,
            log=self._log,
            writer=self._writer,
            hold=self.lease.hold(asked_at),
            seq=seq,
            earlier=earlier,
        )

    def _toolbox(self, run: Run, context: RunContext) -> Toolbox:
        caller = Caller(
            tenant_id=run.tenant_id,
            employee_id=run.employee_id,
            conversation_id=run.conversation_id,
            run_id=run.id,
        )
        return Toolbox(self._tools, context.employee, caller, context.limits)

    def _open(self, config: ProviderConfig) -> Provider:
        """What was acceptable when it was stored may not be any more; that is no fault of this request's body."""
        try:
            return self._providers.open(config)
        except InvalidRequest as error:
            detail = f"The tenant's model provider cannot be used as it is configured. {error.detail}"
            raise Conflict(detail, code="provider_not_usable") from None


def run_started(run: Run) -> e.RunStarted:
    return e.RunStarted(
        conversation_id=run.conversation_id,
        employee_id=run.employee_id,
        user_message_id=run.user_message_id,
        message_id=run.message_id,
        attempt=run.attempt,
    )
