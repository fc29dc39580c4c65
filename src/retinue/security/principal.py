"""Who asks."""

from typing import Literal
from uuid import UUID

import msgspec

from retinue.domain.audit import Actor
from retinue.domain.errors import FieldError, InvalidRequest, NotFound


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """`anonymous` exists in open mode only and may do what the operator may."""

    kind: Literal["operator", "anonymous"]
    tenant_id: UUID | None = None
    """The tenant these credentials belong to; null sees all tenants."""

    @property
    def name(self) -> str:
        """As whoever decides or resolves something is named."""
        return self.actor(None).name

    def actor(self, request_id: str | None) -> Actor:
        """Who acts, for the audit trail."""
        return Actor(kind=self.kind, request_id=request_id)

    def tenant_for(self, requested: UUID | None) -> UUID:
        """The tenant to act in.

        Raises:
            InvalidRequest: nobody names a tenant.
            NotFound: another tenant than the one of the credentials is asked for; it does not exist for them.
        """
        if self.tenant_id is not None:
            if requested not in {None, self.tenant_id}:
                raise NotFound
            return self.tenant_id
        if requested is None:
            raise InvalidRequest(
                "Name the tenant with tenant_id.",
                errors=(FieldError(parameter="tenant_id", detail="Required."),),
            )
        return requested


OPERATOR = Principal(kind="operator")
ANONYMOUS = Principal(kind="anonymous")
