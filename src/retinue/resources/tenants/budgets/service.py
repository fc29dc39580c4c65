"""What can be done with budgets."""

from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain.budgets import Budget, SetBy, Subject
from retinue.domain.errors import Conflict, FieldError, Forbidden, InvalidRequest
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id, now
from retinue.http.idempotency import Once, Replay
from retinue.http.pagination import Page, decode_cursor, page_of
from retinue.http.schemas import changes, given
from retinue.resources.tenants.budgets.schemas import BudgetCreate, BudgetUpdate
from retinue.security.principal import Principal


class BudgetService:
    """Budgets that the operator has set bind the tenant: its own credentials can neither change nor remove them."""

    def __init__(self, database: Database, once: Once) -> None:
        self._database = database
        self._once = once

    async def create(
        self, principal: Principal, tenant_id: UUID, body: BudgetCreate, key: IdempotencyKey | None
    ) -> Budget | Replay:
        """Raises: NotFound; Conflict, `budget_exists` or `prices_set_by_tenant`; InvalidRequest, also
        `idempotency_key_reused`.
        """
        async with self._database.unit(principal.tenant_for(tenant_id)) as unit:
            if replay := await self._once.begin(unit.idempotency, key):
                return replay
            budget = await unit.budgets.add(_budget(principal, unit, body, await _subject_id(unit, body)))
            if budget.set_by is SetBy.OPERATOR:
                await _require_own_prices(unit)
            await self._once.end(unit.idempotency, key, budget)
            payload = {name: getattr(body, name) for name in ("subject", "period", "limit_micros", "hard_stop")}
            await _record(unit, "created", budget, **payload, subject_id=budget.subject_id, set_by=budget.set_by)
        return budget

    async def list(self, principal: Principal, tenant_id: UUID, *, limit: int, cursor: str | None) -> Page[Budget]:
        """Oldest first.

        Raises:
            NotFound: no such tenant.
            InvalidRequest: `invalid_cursor`.
        """
        after = decode_cursor(cursor)
        tenant_id = principal.tenant_for(tenant_id)
        async with self._database.operator(read_only=True) as operator:
            await operator.tenants.get(tenant_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            found = await unit.budgets.list(limit=limit + 1, after=after)
        return page_of(found, limit, lambda budget: budget.id)

    async def get(self, principal: Principal, tenant_id: UUID, budget_id: UUID) -> Budget:
        """Raises: NotFound."""
        async with self._database.unit(principal.tenant_for(tenant_id), read_only=True) as unit:
            return await unit.budgets.get(budget_id)

    async def update(self, principal: Principal, tenant_id: UUID, budget_id: UUID, body: BudgetUpdate) -> Budget:
        """Raises: NotFound; Forbidden, `budget_set_by_operator`."""
        async with self._database.unit(principal.tenant_for(tenant_id)) as unit:
            current = await unit.budgets.get_for_update(budget_id)
            _require_right(principal, current)
            budget = msgspec.structs.replace(current, **given(body), updated_at=now())
            if changed := changes(current, budget):
                await unit.budgets.update(budget)
                await _record(unit, "updated", budget, changed=changed)
        return budget

    async def delete(self, principal: Principal, tenant_id: UUID, budget_id: UUID) -> None:
        """Raises: NotFound; Forbidden, `budget_set_by_operator`."""
        async with self._database.unit(principal.tenant_for(tenant_id)) as unit:
            budget = await unit.budgets.get_for_update(budget_id)
            _require_right(principal, budget)
            await unit.budgets.delete(budget_id)
            await _record(unit, "deleted", budget)


async def _subject_id(unit: Unit, body: BudgetCreate) -> str:
    """Raises: NotFound: the employee or the key is not there; InvalidRequest."""
    named = body.subject_id
    if body.subject is Subject.TENANT:
        if named not in {None, str(unit.tenant_id)}:
            raise _not_valid("Leave it out: the tenant is the one of the path.")
        return str(unit.tenant_id)
    if named is None:
        raise _not_valid("Required, except for the tenant itself.")
    match body.subject:
        case Subject.EMPLOYEE:
            return str((await unit.employees.get(_uuid(named))).id)
        case Subject.KEY:
            return str((await unit.api_keys.get(_uuid(named))).id)
        case Subject.USER:
            return named


async def _require_own_prices(unit: Unit) -> None:
    """A tenant that has said that its models cost nothing would not be bounded at all.

    Raises:
        Conflict: `prices_set_by_tenant`.
    """
    if any(price.set_by is SetBy.TENANT for price in await unit.prices.list()):
        raise Conflict(
            "This tenant has named prices itself, and a budget would count by them. Set its prices first.",
            code="prices_set_by_tenant",
        )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _not_valid("Not a UUID.") from None


def _not_valid(detail: str) -> InvalidRequest:
    return InvalidRequest(errors=(FieldError(pointer="/subject_id", detail=detail),))


def _budget(principal: Principal, unit: Unit, body: BudgetCreate, subject_id: str) -> Budget:
    at = now()
    return Budget(
        id=new_id(),
        tenant_id=unit.tenant_id,
        subject=body.subject,
        subject_id=subject_id,
        period=body.period,
        limit_micros=body.limit_micros,
        soft_percent=body.soft_percent,
        hard_stop=body.hard_stop,
        set_by=principal.sets_as,
        period_start=at,
        period_end=at,
        created_at=at,
        updated_at=at,
    )


def _require_right(principal: Principal, budget: Budget) -> None:
    if budget.set_by is SetBy.OPERATOR and not principal.is_operator:
        raise Forbidden("The operator has set this budget.", code="budget_set_by_operator")


async def _record(unit: Unit, deed: str, budget: Budget, **payload: object) -> None:
    await unit.audit.record(f"budget.{deed}", object_type="budget", object_id=str(budget.id), payload=payload)
