"""Whose is it? Conversation, run and employee routes name no tenant."""

from uuid import UUID

from retinue.db.session import Database
from retinue.security.principal import Principal


class Tenancy:
    """Finds the tenant that a route acts in. What belongs to another tenant does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_conversation(self, principal: Principal, conversation_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is not None:
            return principal.tenant_id
        async with self._database.operator(read_only=True) as unit:
            return await unit.tenant_of_conversation(conversation_id)

    async def of_approval(self, principal: Principal, approval_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is not None:
            return principal.tenant_id
        async with self._database.operator(read_only=True) as unit:
            return await unit.tenant_of_approval(approval_id)

    async def of_employee(self, principal: Principal, employee_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is not None:
            return principal.tenant_id
        async with self._database.operator(read_only=True) as unit:
            return await unit.tenant_of_employee(employee_id)

    async def of_run(self, principal: Principal, run_id: UUID) -> UUID:
        """Raises: NotFound."""
        if principal.tenant_id is not None:
            return principal.tenant_id
        async with self._database.operator(read_only=True) as unit:
            return await unit.tenant_of_run(run_id)
