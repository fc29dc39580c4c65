"""Defences taken out of a server, in the process that becomes it."""

from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import TENANT
from retinue.db.repositories.base import TenantRepository
from retinue.db.repositories.employees import EmployeeRepository
from retinue.db.repositories.idempotency import OPERATOR
from retinue.domain.errors import Forbidden
from retinue.http import idempotency
from retinue.resources.conversations import controller as conversations
from retinue.security import authentication, guards
from retinue.security.principal import Principal
from retinue.security.tenancy import Tenancy
from tests.support.unfiltered import without_tenant_filter

_for_good = ExitStack()


def every_filter() -> None:
    """No repository of a tenant asks whose rows it reads or changes. The operator's own are read by a role that sees
    all tenants, so that theirs stay.
    """
    filtered = {name: vars(TenantRepository)[name] for name in ("_select", "_update", "_delete")}
    _for_good.enter_context(without_tenant_filter())
    for name, method in filtered.items():
        setattr(TenantRepository, name, _for_operator(method, vars(TenantRepository)[name]))


def _for_operator(filtered: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    def statement(self: TenantRepository, *args: Any) -> Any:
        tenant: Any = self._tenant_id
        is_operator = tenant is not TENANT and tenant == OPERATOR  # the former in a statement for everybody
        return (filtered if is_operator else otherwise)(self, *args)

    return statement


def several() -> None:
    """One in each kind of defence. Each shows in operations of its own."""
    _employees_of_everybody()
    _runs_of_other_users()
    _keys_of_other_users()
    _telling_approvals()
    vars(authentication)["hmac"] = SimpleNamespace(compare_digest=lambda *_: True)
    vars(guards)["_require_own"] = lambda *_: None


def _employees_of_everybody() -> None:
    """A repository that forgets the tenant."""

    def select(_: EmployeeRepository, table: type[t.Owned], *columns: Any) -> sa.Select[Any]:
        return sa.select(*(columns or (table,)))

    setattr(EmployeeRepository, "_select", select)  # noqa: B010


def _runs_of_other_users() -> None:
    """Only the tenant counts, not the user of a token."""

    async def of_run(_: Tenancy, principal: Principal, _run_id: UUID) -> UUID:
        assert principal.tenant_id is not None
        return principal.tenant_id

    setattr(Tenancy, "of_run", of_run)  # noqa: B010


def _keys_of_other_users() -> None:
    """Users of a tenant share their idempotency keys."""

    def key_of(request: Any, header: str | None, body: Any = None) -> Any:
        key = idempotency.key_of(request, header, body)
        return key and msgspec.structs.replace(key, route=" ".join(key.route.split(" ")[:2]))

    vars(conversations)["key_of"] = key_of


def _telling_approvals() -> None:
    """Nothing can be read, but what exists is answered in another way."""
    of_approval = Tenancy.of_approval

    async def telling(self: Tenancy, principal: Principal, approval_id: UUID) -> UUID:
        async with self._database.operator(read_only=True) as unit:
            owner = await unit.tenant_of_approval(approval_id)
        if principal.tenant_id not in {None, owner}:
            raise Forbidden
        return await of_approval(self, principal, approval_id)

    setattr(Tenancy, "of_approval", telling)  # noqa: B010
