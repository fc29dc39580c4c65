"""Repositories that have forgotten whose rows they may see. Nothing of this can be switched on outside of tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository
from tests.support.compiled import with_statements_of_their_own


@contextmanager
def without_tenant_filter() -> Iterator[None]:
    """Inside, no statement of a tenant's repository asks for the tenant."""
    with with_statements_of_their_own(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(TenantRepository, "_select", _select)
        patch.setattr(TenantRepository, "_update", _update)
        patch.setattr(TenantRepository, "_delete", _delete)
        yield


def _select(_self: TenantRepository, table: type[t.Owned], *columns: Any) -> sa.Select[Any]:
    return sa.select(*(columns or (table,)))


def _update(_self: TenantRepository, table: type[t.Owned]) -> sa.Update:
    return sa.update(table)


def _delete(_self: TenantRepository, table: type[t.Owned]) -> sa.Delete:
    return sa.delete(table)
