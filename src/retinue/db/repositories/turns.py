"""What a turn depends on at its beginning."""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.executor import Executor
from retinue.db.prepared import Row, prepared
from retinue.db.repositories.base import first
from retinue.db.repositories.config import stored_config
from retinue.db.repositories.conversations import Session, conversation_of, session_of
from retinue.db.repositories.employees import employee_of
from retinue.db.repositories.limits import Used
from retinue.db.repositories.looks import Looks
from retinue.db.repositories.messages import MessageRepository
from retinue.db.scripts import Script
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.messages import Utterance
from retinue.domain.tenants import StoredConfig

_CONFIG: tuple[Any, ...] = (*t.Base.metadata.tables["tenant_configs"].c, t.TenantPrices.prices)
_EMPLOYEE: tuple[Any, ...] = tuple(t.Base.metadata.tables["employees"].c)
_Config: Any = namedtuple("_Config", [column.name for column in _CONFIG])  # type: ignore[misc]
_Employee: Any = namedtuple("_Employee", [column.name for column in _EMPLOYEE])  # type: ignore[misc]


class Cast(NamedTuple):
    """Who answers in a conversation, by which model, and after what; as it is at this moment."""

    config: StoredConfig | None
    employee: Employee | None
    """None if it no longer works here."""
    history: Sequence[Utterance] | None = None
    """See `MessageRepository.history`; None if it was not read."""


class Scene(NamedTuple):
    """What is there when a message comes."""

    conversation: Conversation
    session: Session
    used: Used | None
    """The runs that are being answered, if they were counted."""
    cast: Cast


class TurnRepository(Looks):
    def __init__(self, tenant_id: UUID, executor: Executor) -> None:
        super().__init__(tenant_id, executor)
        self._messages = MessageRepository(tenant_id, executor)

    async def enter(
        self,
        conversation_id: UUID,
        *,
        key_id: UUID | None,
        default_ttl_seconds: float,
        counts: bool,
        max_history: int,
    ) -> Scene:
        """Lock the conversation, and then, if it `counts` runs, the tenant's slots; and look at all that a message
        depends on, in three statements instead of seven; at what was said before only if it can be answered at once.
        See `ConversationRepository.get_for_update` and `session`, `LimitsRepository.lock_slots` and `count_runs`.

        Raises:
            NotFound: there is no such conversation.
        """
        scene = self._entering(conversation_id, key_id, default_ttl_seconds, max_history, counts=counts)
        return await self._executor.perform(scene)

    def _entering(
        self, conversation_id: UUID, key_id: UUID | None, default_ttl_seconds: float, max_history: int, *, counts: bool
    ) -> Script[Scene]:
        rows = yield self._locked(conversation_id, with_tenant=counts)
        conversation = conversation_of(first(rows, "conversation"))
        # Only now: who has waited for a lock sees what was stored meanwhile.
        rows = yield self._seen(conversation_id, conversation.employee_id, key_id, conversation.user_id, counts=counts)
        seen = first(rows, "conversation")
        session, cast = session_of(seen, default_ttl_seconds), _cast(seen)
        if not session.is_busy and not session.has_expired:
            all_of_it = conversation.message_count + 1
            cast = cast._replace(history=(yield from self._messages.recalling(conversation_id, all_of_it, max_history)))
        return Scene(conversation, session, _used(seen) if counts else None, cast)

    @prepared
    def _locked(self, conversation_id: UUID, *, with_tenant: bool) -> sa.Select[Any]:
        statement = self._select(t.Conversation).where(t.Conversation.id == conversation_id)
        if with_tenant:
            # PostgreSQL locks rows in the order of their tables in the statement.
            statement = statement.join(t.Tenant, t.Tenant.id == t.Conversation.tenant_id)
        return statement.with_for_update(key_share=True)

    @prepared
    def _seen(
        self, conversation_id: UUID, employee_id: UUID, key_id: UUID | None, user_id: str, *, counts: bool
    ) -> sa.Select[Any]:
        used = self._runs_at_work(key_id, user_id).subquery("used")
        columns = [*self._session_columns(conversation_id), *(used.c if counts else ())]
        columns += [column.label(f"config_{column.name}") for column in _CONFIG]
        columns += [column.label(f"employee_{column.name}") for column in _EMPLOYEE]
        own, employee = t.Conversation.tenant_id, t.Employee
        statement = self._select(t.Conversation, *columns).select_from(t.Conversation)
        statement = statement.where(t.Conversation.id == conversation_id)
        if counts:
            statement = statement.join(used, sa.true())
        is_theirs = (employee.tenant_id == own) & (employee.id == employee_id) & employee.deleted_at.is_(None)
        return (
            statement.outerjoin(t.TenantConfig, t.TenantConfig.tenant_id == own)
            .outerjoin(t.TenantPrices, t.TenantPrices.tenant_id == own)
            .outerjoin(employee, is_theirs)
        )


def _used(seen: Row) -> Used:
    return Used(seen.tenant, seen.key, seen.user)


def _cast(seen: Row) -> Cast:
    """From the last columns of the row."""
    first = len(seen) - len(_EMPLOYEE)
    employee: Any = _Employee._make(seen[first:])
    config: Any = _Config._make(seen[first - len(_CONFIG) : first])
    return Cast(
        config=None if config.tenant_id is None else stored_config(config),
        employee=None if employee.tenant_id is None else employee_of(employee),
    )
