"""What can be done with conversations."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id, now
from retinue.domain.text import clean
from retinue.http.idempotency import Once, Replay
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.http.schemas import changes, given
from retinue.resources.conversations.schemas import ConversationCreate, ConversationUpdate, ConversationWithMessages
from retinue.runs.turnstile import Turnstile
from retinue.security.bounds import narrowed, require_within
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy

CancelConversation = Callable[[UUID, UUID], Awaitable[object]]
"""Cancels what runs in a tenant's conversation and waits until it has ended."""
TellFollowers = Callable[[UUID, UUID], None]
"""Has those who follow a tenant's conversation look at it."""


class ConversationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Null matches everything; what is set must all match."""

    employee_id: UUID | None = None
    user_id: str | None = None
    status: ConversationStatus | None = None
    external_id: str | None = None


class ConversationService:
    def __init__(
        self,
        database: Database,
        tenancy: Tenancy,
        *,
        cancel_conversation: CancelConversation,
        tell: TellFollowers,
        turnstile: Turnstile,
        once: Once,
    ) -> None:
        self._database = database
        self._tenancy = tenancy
        self._cancel_conversation = cancel_conversation
        self._tell = tell
        self._turnstile = turnstile
        self._once = once

    async def create(
        self, principal: Principal, body: ConversationCreate, key: IdempotencyKey | None
    ) -> Conversation | Replay:
        """Raises: NotFound for the tenant or the employee; Conflict with code `external_id_taken`; InvalidRequest with
        code `idempotency_key_reused`; Forbidden, `outside_of_token`.
        """
        conversation = _conversation(principal.tenant_named(body.tenant_id), body)
        require_within(principal, user_id=body.user_id, employee_id=body.employee_id)
        async with self._database.unit(conversation.tenant_id) as unit:
            if replay := await self._once.begin(unit.idempotency, key):
                return replay
            # A foreign key cannot tell that an employee is deleted.
            await unit.employees.get(conversation.employee_id)
            await unit.conversations.add(conversation)
            await self._once.end(unit.idempotency, key, conversation)
            await _record(unit, "conversation.created", conversation.id, employee_id=str(conversation.employee_id))
        return conversation

    async def list(
        self, principal: Principal, tenant_id: UUID, wanted: ConversationFilter, *, limit: int, cursor: str | None
    ) -> Page[Conversation]:
        """Those that exist for whoever asks. Raises: Forbidden, `outside_of_token`."""
        after = decode_cursor(cursor)
        user_id = narrowed(principal.sight.user_id, _cleaned(wanted.user_id))
        employee_id = narrowed(principal.sight.employee_id, wanted.employee_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            found = await unit.conversations.list(
                limit=limit + 1,
                after=after,
                employee_id=employee_id,
                user_id=user_id,
                only=principal.sight.conversation_id,
                status=wanted.status,
                external_id=_cleaned(wanted.external_id),
            )
        return page_of(found, limit, lambda conversation: conversation.id)

    async def get(self, principal: Principal, conversation_id: UUID, *, messages: int) -> ConversationWithMessages:
        """With so many of its newest messages.

        Raises:
            NotFound.
        """
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            conversation = await unit.conversations.get(conversation_id)
            newest = await unit.messages.newest(conversation_id, limit=messages) if messages else ()
        return ConversationWithMessages(**msgspec.structs.asdict(conversation), messages=tuple(newest))

    async def update(self, principal: Principal, conversation_id: UUID, body: ConversationUpdate) -> Conversation:
        """What is made active is reopened, whether or not its session has expired: nobody can see that coming.

        Raises: NotFound, Conflict with code `external_id_taken`.
        """
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        async with self._turnstile.through(conversation_id), self._database.unit(tenant_id) as unit:
            current = await unit.conversations.get_for_update(conversation_id)
            conversation = msgspec.structs.replace(current, **given(body), updated_at=now())
            await unit.conversations.update(conversation)
            if body.status is ConversationStatus.ACTIVE:
                await unit.conversations.reopen(conversation_id)
                conversation = await unit.conversations.get(conversation_id)
            if changed := changes(current, conversation):
                await _record(unit, "conversation.updated", conversation_id, changed=changed)
        self._tell(tenant_id, conversation_id)
        return conversation

    async def delete(self, principal: Principal, conversation_id: UUID) -> None:
        """Raises: NotFound."""
        tenant_id = await self._tenancy.of_conversation(principal, conversation_id)
        await self._cancel_conversation(tenant_id, conversation_id)
        async with self._turnstile.through(conversation_id), self._database.unit(tenant_id) as unit:
            await unit.conversations.delete(conversation_id)
            await _record(unit, "conversation.deleted", conversation_id)
        self._tell(tenant_id, conversation_id)


def _conversation(tenant_id: UUID, body: ConversationCreate) -> Conversation:
    at = now()
    return Conversation(
        id=new_id(),
        tenant_id=tenant_id,
        employee_id=body.employee_id,
        user_id=body.user_id,
        title=body.title,
        external_id=body.external_id,
        session_ttl_seconds=body.session_ttl_seconds,
        status=ConversationStatus.ACTIVE,
        message_count=0,
        created_at=at,
        updated_at=at,
        last_message_at=None,
    )


async def _record(unit: Unit, action: str, conversation_id: UUID, **payload: Any) -> None:
    await unit.audit.record(action, object_type="conversation", object_id=str(conversation_id), payload=payload)


def _cleaned(text: str | None) -> str | None:
    """What was stored has been cleaned too."""
    return None if text is None else clean(text)
