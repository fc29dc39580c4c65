"""What the edge asks of the engine: store a message, start a run, wait for it."""

from uuid import UUID

from retinue.coordination.base import EventLog
from retinue.crypto import Keyring
from retinue.db.session import Database, Unit
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.domain.events import TERMINAL_EVENTS, TerminalEvent
from retinue.domain.ids import new_id, now
from retinue.domain.messages import Message, MessageStatus, Role
from retinue.domain.policy import RetryPolicy, RunLimits
from retinue.domain.runs import Run, RunStatus
from retinue.providers.base import Provider, ProviderConfig
from retinue.providers.registry import ProviderRegistry
from retinue.runs.context import RunContext, RunCreate, load_context
from retinue.runs.event_writer import EventWriter
from retinue.runs.follow import Follower
from retinue.runs.lease import Lease
from retinue.runs.recorder import Recorder
from retinue.runs.runner import Runner
from retinue.runs.supervisor import Supervisor


class RunService:
    """Stores messages and starts runs. Each call is one transaction."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        providers: ProviderRegistry,
        log: EventLog,
        writer: EventWriter,
        supervisor: Supervisor,
        follower: Follower,
        limits: RunLimits,
        retries: RetryPolicy,
        lease: Lease,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._providers = providers
        self._log = log
        self._writer = writer
        self._supervisor = supervisor
        self._limits = limits
        self._retries = retries
        self._lease = lease
        self.follow = follower.follow

    async def store_message(self, tenant_id: UUID, conversation_id: UUID, content: str) -> Message:
        """Append a user's message without asking for an answer.

        Raises:
            NotFound: no such conversation.
            Conflict: `conversation_closed`, or `conversation_busy` while a run writes its answer.
        """
        async with self._database.unit(tenant_id) as unit:
            conversation = await _open_conversation(unit, conversation_id)
            await _refuse_if_busy(unit, conversation)
            position = await unit.conversations.advance(conversation.id, 1)
            message = _user_message(conversation, content, position)
            await unit.messages.add(message)
        return message

    async def start(self, tenant_id: UUID, conversation_id: UUID, request: RunCreate) -> Run:
        """Store the user's message and its run, and hand the run to the supervisor.

        When this returns, message and run are committed and the first event can be followed. Nothing is stored if
        it raises.

        Raises:
            NotFound: no such conversation.
            Conflict: `conversation_closed`, `conversation_busy`, `provider_not_configured`, `provider_not_usable`,
                `employee_deleted` or `employee_busy`.
            InvalidRequest: `message_exceeds_context`.
            SecretUnreadable: the provider's key cannot be opened.
            Unavailable: `shutting_down` or `too_many_runs`.
        """
        with self._supervisor.admit():
            async with self._database.unit(tenant_id) as unit:
                runner = await self._prepare(unit, conversation_id, request)
            self._log.open(runner.run.id)
            self._supervisor.start(runner)
        return runner.run

    async def wait(self, run: Run) -> TerminalEvent:
        """Wait for a run's end; the caller may go away, the run does not mind."""
        async for events in self.follow(run.tenant_id, run.id):
            if isinstance(last := events[-1].event, TERMINAL_EVENTS):
                return last
        raise AssertionError("a run's log ends with a terminal event")

    async def _prepare(self, unit: Unit, conversation_id: UUID, request: RunCreate) -> Runner:
        conversation = await _open_conversation(unit, conversation_id)
        await _refuse_if_busy(unit, conversation)
        position = await unit.conversations.advance(conversation.id, 2)
        context = await load_context(
            unit, conversation, request, keyring=self._keyring, limits=self._limits, position=position
        )
        await _refuse_if_overworked(unit, context.employee)
        question = _user_message(conversation, request.content, position)
        run = _new_run(conversation, question)
        runner = self._runner(run, context)
        await unit.runs.add(run, owner=self._lease.owner, lease_seconds=self._lease.seconds)
        await unit.messages.add(question, _answer_in_the_making(conversation, run, position + 1))
        await unit.ledger.open(runner.first_entry())
        return runner

    def _runner(self, run: Run, context: RunContext) -> Runner:
        return Runner(
            run=run,
            context=context,
            provider=self._open(context.provider),
            recorder=Recorder(
                tenant_id=run.tenant_id, run_id=run.id, attempt=run.attempt, log=self._log, writer=self._writer
            ),
            writer=self._writer,
            database=self._database,
            retries=self._retries,
        )

    def _open(self, config: ProviderConfig) -> Provider:
        """What was acceptable when it was stored may not be any more; that is no fault of this request's body.

        Raises:
            Conflict: `provider_not_usable`.
        """
        try:
            return self._providers.open(config)
        except InvalidRequest as error:
            detail = f"The tenant's model provider cannot be used as it is configured. {error.detail}"
            raise Conflict(detail, code="provider_not_usable") from None


async def _open_conversation(unit: Unit, conversation_id: UUID) -> Conversation:
    conversation = await unit.conversations.get(conversation_id)
    if conversation.status is ConversationStatus.CLOSED:
        raise Conflict("This conversation is closed. Set its status to active to go on.", code="conversation_closed")
    return conversation


async def _refuse_if_busy(unit: Unit, conversation: Conversation) -> None:
    """Answers early and by name; the unique index on active runs is what decides."""
    if active := await unit.runs.active(conversation.id):
        raise Conflict(f"Run {active.id} is answering in this conversation.", code="conversation_busy")


async def _refuse_if_overworked(unit: Unit, employee: Employee) -> None:
    if employee.max_concurrent_tasks is None:
        return
    await unit.employees.lock_for_start(employee.id)
    if await unit.employees.count_active_runs(employee.id) >= employee.max_concurrent_tasks:
        detail = f"{employee.name} works on {employee.max_concurrent_tasks} answers at once and no more."
        raise Conflict(detail, code="employee_busy")


def _user_message(conversation: Conversation, content: str, position: int) -> Message:
    at = now()
    return Message(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        position=position,
        role=Role.USER,
        content=content,
        created_at=at,
        updated_at=at,
    )


def _new_run(conversation: Conversation, question: Message) -> Run:
    return Run(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        employee_id=conversation.employee_id,
        user_message_id=question.id,
        message_id=new_id(),
        status=RunStatus.RUNNING,
        attempt=1,
        created_at=question.created_at,
    )


def _answer_in_the_making(conversation: Conversation, run: Run, position: int) -> Message:
    return Message(
        id=run.message_id,
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        run_id=run.id,
        position=position,
        role=Role.ASSISTANT,
        content="",
        status=MessageStatus.STREAMING,
        created_at=run.created_at,
        updated_at=run.created_at,
    )
