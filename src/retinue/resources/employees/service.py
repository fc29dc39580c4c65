"""What can be done with employees."""

from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from retinue.db.session import Database, Unit
from retinue.domain.employees import Employee, ModelSettings, Persona
from retinue.domain.errors import Conflict, FieldError, InvalidRequest
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id, now
from retinue.domain.policy import RunLimits
from retinue.http.idempotency import Once, Replay
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.http.schemas import changes, given, merged
from retinue.resources.employees.schemas import EmployeeCreate, EmployeeUpdate
from retinue.resources.employees.slugs import slugs_for
from retinue.resources.tenants.config.bounds import check_output_tokens
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy


class EmployeeService:
    """`tools` are the names of all tools that exist."""

    def __init__(
        self, database: Database, tenancy: Tenancy, tools: AbstractSet[str], limits: RunLimits, once: Once
    ) -> None:
        self._database = database
        self._tenancy = tenancy
        self._tools = tools
        self._limits = limits
        self._once = once

    async def create(self, principal: Principal, body: EmployeeCreate, key: IdempotencyKey | None) -> Employee | Replay:
        """Raises: NotFound, Conflict with code `slug_taken`, InvalidRequest with code `unknown_tool` or
        `idempotency_key_reused`.
        """
        self._check_tools(body.tools)
        employee = _employee(principal.tenant_named(body.tenant_id), body)
        self._check_length(employee)
        if body.slug is not UNSET:
            return await self._add(employee, key)
        return await self._add_with_free_slug(employee, key)

    async def list(self, tenant_id: UUID, *, limit: int, cursor: str | None) -> Page[Employee]:
        after = decode_cursor(cursor)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            found = await unit.employees.list(limit=limit + 1, after=after)
        return page_of(found, limit, lambda employee: employee.id)

    async def get(self, principal: Principal, employee_id: UUID) -> Employee:
        """Raises: NotFound."""
        tenant_id = await self._tenancy.of_employee(principal, employee_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.employees.get(employee_id)

    async def update(self, principal: Principal, employee_id: UUID, body: EmployeeUpdate) -> Employee:
        """Raises: NotFound, Conflict with code `slug_taken`, InvalidRequest with code `unknown_tool`."""
        self._check_tools(body.tools or ())
        tenant_id = await self._tenancy.of_employee(principal, employee_id)
        async with self._database.unit(tenant_id) as unit:
            current = await unit.employees.get_for_update(employee_id)
            employee = _changed(current, body)
            self._check_length(employee)
            await unit.employees.update(employee)
            if changed := changes(current, employee):
                await _record(unit, "employee.updated", employee_id, changed=changed)
        return employee

    async def delete(self, principal: Principal, employee_id: UUID) -> None:
        """Raises: NotFound."""
        tenant_id = await self._tenancy.of_employee(principal, employee_id)
        async with self._database.unit(tenant_id) as unit:
            await unit.employees.delete(employee_id)
            await _record(unit, "employee.deleted", employee_id)

    async def _add(self, employee: Employee, key: IdempotencyKey | None) -> Employee | Replay:
        async with self._database.unit(employee.tenant_id) as unit:
            if replay := await self._once.begin(unit.idempotency, key):
                return replay
            await unit.employees.add(employee)
            await self._once.end(unit.idempotency, key, employee)
            await _record(
                unit,
                "employee.created",
                employee.id,
                slug=employee.slug,
                permission=employee.permission.value,
                tools=list(employee.tools),
            )
        return employee

    async def _add_with_free_slug(self, employee: Employee, key: IdempotencyKey | None) -> Employee | Replay:
        """Only the unique index knows which slugs are free, so each candidate is tried in its own transaction."""
        *tries, last = slugs_for(employee.name, employee.id)
        for slug in tries:
            try:
                return await self._add(msgspec.structs.replace(employee, slug=slug), key)
            except Conflict as conflict:
                if conflict.problem_code != "slug_taken":
                    raise
        return await self._add(msgspec.structs.replace(employee, slug=last), key)

    def _check_length(self, employee: Employee) -> None:
        wanted = employee.model_settings.max_output_tokens
        check_output_tokens("/model_settings/max_output_tokens", wanted, self._limits)

    def _check_tools(self, tools: Any) -> None:
        errors = tuple(
            FieldError(pointer=f"/tools/{index}", detail="There is no tool with this name.")
            for index, name in enumerate(tools)
            if name not in self._tools
        )
        if errors:
            raise InvalidRequest("An employee can only have tools that exist.", code="unknown_tool", errors=errors)


async def _record(unit: Unit, action: str, employee_id: UUID, **payload: Any) -> None:
    await unit.audit.record(action, object_type="employee", object_id=str(employee_id), payload=payload)


def _employee(tenant_id: UUID, body: EmployeeCreate) -> Employee:
    at = now()
    return Employee(
        id=new_id(),
        tenant_id=tenant_id,
        slug="" if body.slug is UNSET else body.slug,
        name=body.name,
        role=body.role,
        system_prompt=body.system_prompt,
        persona=merged(Persona(), body.persona),
        permission=body.permission,
        tools=body.tools,
        model_settings=merged(ModelSettings(), body.model_settings),
        reasoning=body.reasoning,
        capabilities=body.capabilities,
        labels=body.labels,
        chat_listen=body.chat_listen,
        task_listen=body.task_listen,
        max_concurrent_tasks=body.max_concurrent_tasks,
        created_at=at,
        updated_at=at,
    )


def _changed(employee: Employee, body: EmployeeUpdate) -> Employee:
    changes = given(body)
    if body.persona is not UNSET:
        changes["persona"] = merged(employee.persona, body.persona)
    if body.model_settings is not UNSET:
        changes["model_settings"] = merged(employee.model_settings, body.model_settings)
    return msgspec.structs.replace(employee, **changes, updated_at=now())
