"""Whose is it? Conversation, run and employee routes name no tenant."""

from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain.errors import NotFound
from retinue.security.principal import Principal


class Tenancy:
    """Finds the tenant that a route acts in. What belongs to another tenant does not exist, nor does what belongs to
    another user of the same tenant for a user's token.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_conversation(self, principal: Principal, conversation_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is None:
            async with self._database.operator(read_only=True) as unit:
                return await unit.tenant_of_conversation(conversation_id)
        if principal.is_restricted:
            async with self._database.unit(principal.tenant_id, read_only=True) as own:
                await require_sight(own, principal, conversation_id, "conversation")
        return principal.tenant_id

    async def of_approval(self, principal: Principal, approval_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is None:
            async with self._database.operator(read_only=True) as unit:
                return await unit.tenant_of_approval(approval_id)
        if principal.is_restricted:
            async with self._database.unit(principal.tenant_id, read_only=True) as own:
                approval = await own.approvals.get(approval_id)
                await require_sight(own, principal, approval.conversation_id, "approval")
        return principal.tenant_id

    async def of_employee(self, principal: Principal, employee_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is None:
            async with self._database.operator(read_only=True) as unit:
                return await unit.tenant_of_employee(employee_id)
        return principal.tenant_id

    async def of_run(self, principal: Principal, run_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is None:
            async with self._database.operator(read_only=True) as unit:
                return await unit.tenant_of_run(run_id)
        if principal.is_restricted:
            async with self._database.unit(principal.tenant_id, read_only=True) as own:
                run = await own.runs.get(run_id)
                await require_sight(own, principal, run.conversation_id, "run")
        return principal.tenant_id


async def require_sight(unit: Unit, principal: Principal, conversation_id: UUID, what: str) -> None:
    """Raises: NotFound, with the words of a repository that finds nothing."""
    conversation = await unit.conversations.find(conversation_id)
    if conversation is None or not principal.sees(conversation):
        raise NotFound(f"There is no such {what}.")
