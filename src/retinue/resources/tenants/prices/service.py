"""What can be done with a tenant's own prices."""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from retinue.db.session import Database
from retinue.domain.errors import FieldError, Forbidden, InvalidRequest
from retinue.domain.prices import ModelPrice
from retinue.resources.tenants.prices.schemas import PricesPut, TenantPrices
from retinue.security.principal import Principal


class PriceService:
    """`providers` are the words for the providers that there are."""

    def __init__(self, database: Database, providers: Collection[str]) -> None:
        self._database = database
        self._providers = providers

    async def get(self, principal: Principal, tenant_id: UUID) -> TenantPrices:
        """Raises: NotFound."""
        tenant_id = principal.tenant_for(tenant_id)
        async with self._database.operator(read_only=True) as operator:
            await operator.tenants.get(tenant_id)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return TenantPrices(prices=tuple(await unit.prices.list()))

    async def put(self, principal: Principal, tenant_id: UUID, body: PricesPut) -> TenantPrices:
        """Raises: NotFound; InvalidRequest; Forbidden, `prices_bind_operator_budget`: to pay less than a model costs
        would be to spend more than the operator allows.
        """
        self._check(body)
        prices = tuple(ModelPrice(**msgspec.structs.asdict(price), set_by=principal.sets_as) for price in body.prices)
        async with self._database.unit(principal.tenant_for(tenant_id)) as unit:
            before = await unit.prices.replace(prices)
            if not principal.is_operator and await unit.budgets.is_bounded_by_operator():
                raise Forbidden(
                    "While the operator bounds what this tenant spends, only the operator sets its prices.",
                    code="prices_bind_operator_budget",
                )
            if changed := _changed(before, prices):
                await unit.audit.record(
                    "prices.updated", object_type="prices", object_id=str(unit.tenant_id), payload={"models": changed}
                )
        return TenantPrices(prices=prices)

    def _check(self, body: PricesPut) -> None:
        errors: list[FieldError] = []
        seen: set[tuple[str, str]] = set()
        for index, price in enumerate(body.prices):
            if price.provider not in self._providers:
                detail = f"The provider must be one of: {', '.join(sorted(self._providers))}."
                errors.append(FieldError(pointer=f"/prices/{index}/provider", detail=detail))
            if (name := (price.provider, price.model)) in seen:
                errors.append(FieldError(pointer=f"/prices/{index}", detail="This model has a price already."))
            seen.add(name)
        if errors:
            raise InvalidRequest("The prices are not valid.", errors=tuple(errors))


def _changed(before: Sequence[ModelPrice], after: Sequence[ModelPrice]) -> list[str]:
    """The models that have another price now, or none any more, or one for the first time."""
    differing = {*before} ^ {*after}
    return sorted({f"{price.provider}/{price.model}" for price in differing})
