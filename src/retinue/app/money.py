"""What concerns money: budgets, prices and usage."""

from collections.abc import Collection

from litestar import Controller

from retinue.db.session import Database
from retinue.http.controllers import bound
from retinue.http.idempotency import Once
from retinue.resources.tenants.budgets.controller import BudgetController
from retinue.resources.tenants.budgets.service import BudgetService
from retinue.resources.tenants.prices.controller import PriceController
from retinue.resources.tenants.prices.service import PriceService
from retinue.resources.usage.controller import UsageController
from retinue.resources.usage.service import UsageService


def money_controllers(database: Database, once: Once, providers: Collection[str]) -> list[type[Controller]]:
    """`providers` are the words for the providers that there are."""
    return [
        bound(BudgetController, budgets=BudgetService(database, once)),
        bound(PriceController, prices=PriceService(database, providers)),
        bound(UsageController, usage=UsageService(database)),
    ]
