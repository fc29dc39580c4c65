"""Keys of tenants, as their repository takes them."""

from typing import Any

import msgspec

from retinue.domain.access import ApiKey, Role
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import NOON


def an_api_key(tenant: Tenant, **changes: Any) -> ApiKey:
    """Times are given by the database."""
    key = ApiKey(
        id=new_id(),
        tenant_id=tenant.id,
        name="Backend",
        role=Role.MEMBER,
        last4="wxyz",
        created_at=NOON,
        created_by="operator",
    )
    return msgspec.structs.replace(key, **changes)
