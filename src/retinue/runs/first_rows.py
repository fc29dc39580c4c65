"""What is stored of a new message and of the run that answers it."""

from retinue.db.repositories.conversations import Place
from retinue.domain import events as e
from retinue.domain.conversations import Conversation
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import ms_of, new_id
from retinue.domain.messages import Message, MessageStatus, Role
from retinue.domain.runs import Run, RunStatus
from retinue.runs.context import RunCreate
from retinue.runs.factory import run_started


def user_message(
    conversation: Conversation, content: str, place: Place, status: MessageStatus = MessageStatus.COMPLETED
) -> Message:
    return Message(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        position=place.position,
        role=Role.USER,
        content=content,
        status=status,
        created_at=place.at,
        updated_at=place.at,
    )


def new_run(conversation: Conversation, question: Message, request: RunCreate, status: RunStatus) -> Run:
    return Run(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        employee_id=conversation.employee_id,
        user_message_id=question.id,
        message_id=new_id(),
        status=status,
        attempt=1,
        position=question.position,
        options=request.options,
        key_id=request.key_id,
        user_id=conversation.user_id,
        created_at=question.created_at,
    )


def answer_of(conversation: Conversation, run: Run, status: MessageStatus) -> Message:
    return Message(
        id=run.message_id,
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        run_id=run.id,
        position=run.position + 1,
        role=Role.ASSISTANT,
        content="",
        status=status,
        created_at=run.created_at,
        updated_at=run.created_at,
    )


def queued_events(run: Run) -> list[RecordedEvent]:
    """A queued run can be followed at once."""
    at = ms_of(run.created_at)
    first: tuple[e.RunEvent, ...] = (run_started(run), e.StatusChanged(stage="queued"))
    return [RecordedEvent(run.id, run.attempt, seq, at, event) for seq, event in enumerate(first, 1)]
