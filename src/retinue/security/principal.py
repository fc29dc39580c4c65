"""Who asks."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from retinue.domain.access import EVERYTHING, WHOLE, Scope, Sight
from retinue.domain.audit import Actor
from retinue.domain.budgets import SetBy
from retinue.domain.conversations import Conversation
from retinue.domain.errors import FieldError, Forbidden, InvalidRequest, NotFound


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """`anonymous` exists in open mode only and may do what the operator may. A `user` sees nothing but one user's
    conversations, perhaps only with one employee, or one of them.
    """

    kind: Literal["operator", "anonymous", "key", "user"]
    scopes: frozenset[Scope]
    tenant_id: UUID | None = None
    """The tenant these credentials belong to; null sees all tenants."""
    key_id: UUID | None = None
    """The tenant's key, or the one that made the user's token."""
    user_id: str | None = None
    """Of a user's token; see `sight` for what else it may be bound to."""
    sight: Sight = WHOLE
    expires_at: datetime | None = None
    """Of a user's token."""

    @property
    def is_operator(self) -> bool:
        return self.tenant_id is None

    @property
    def sets_as(self) -> SetBy:
        """Who has set what these credentials set."""
        return SetBy.OPERATOR if self.is_operator else SetBy.TENANT

    @property
    def is_restricted(self) -> bool:
        """Whether not everything of the tenant exists for these credentials."""
        return not self.sight.is_whole

    @property
    def name(self) -> str:
        """As whoever decides or resolves something is named."""
        return self.actor(None).name

    def actor(self, request_id: str | None) -> Actor:
        """Who acts, for the audit trail."""
        known_by = self.user_id if self.user_id is not None else self.key_id
        return Actor(kind=self.kind, id="" if known_by is None else str(known_by), request_id=request_id)

    def require(self, scope: Scope) -> None:
        """Raises: Forbidden, `insufficient_scope`, with the challenge of RFC 6750."""
        if scope not in self.scopes:
            challenge = f'Bearer realm="retinue", error="insufficient_scope", scope="{scope}"'
            detail = f"These credentials lack the scope {scope}."
            raise Forbidden(detail, code="insufficient_scope", headers={"www-authenticate": challenge})

    def tenant_for(self, requested: UUID | None) -> UUID:
        """The tenant to act in.

        Raises:
            InvalidRequest: nobody names a tenant.
            NotFound: another tenant than the one of the credentials is asked for; it does not exist for them.
        """
        if self.tenant_id is not None:
            if requested not in {None, self.tenant_id}:
                raise NotFound("There is no such tenant.")
            return self.tenant_id
        if requested is None:
            raise InvalidRequest(
                "Name the tenant with tenant_id.",
                errors=(FieldError(parameter="tenant_id", detail="Required."),),
            )
        return requested

    def tenant_named(self, requested: UUID | UnsetType) -> UUID:
        """As `tenant_for`, where a body may name the tenant."""
        if self.tenant_id is None and requested is UNSET:
            detail = "Required, because these credentials are no tenant's."
            raise InvalidRequest("Name the tenant.", errors=(FieldError(pointer="/tenant_id", detail=detail),))
        return self.tenant_for(None if requested is UNSET else requested)

    def sees(self, conversation: Conversation) -> bool:
        """Whether a conversation of the tenant exists for these credentials."""
        return (
            self.sight.user_id in {None, conversation.user_id}
            and self.sight.employee_id in {None, conversation.employee_id}
            and self.sight.conversation_id in {None, conversation.id}
        )


OPERATOR = Principal(kind="operator", scopes=EVERYTHING)
ANONYMOUS = Principal(kind="anonymous", scopes=EVERYTHING)
