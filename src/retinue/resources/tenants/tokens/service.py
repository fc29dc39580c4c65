"""Tokens for the browsers of a tenant's users."""

from time import time
from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain.access import USER_SCOPES, Scope
from retinue.domain.errors import FieldError, Forbidden, InvalidRequest, NotFound
from retinue.resources.tenants.tokens.schemas import TokenCreate, UserToken
from retinue.security.authentication import Authenticator
from retinue.security.principal import Principal
from retinue.security.tokens import Claims, sign

_USUAL = (Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE)


class TokenService:
    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._database = database
        self._authenticator = authenticator

    async def create(self, principal: Principal, tenant_id: UUID, body: TokenCreate) -> UserToken:
        """
        Raises:
            Forbidden: `tenant_key_required`: only a tenant's key makes tokens, because a token ends with it.
            NotFound: the tenant, the employee or the conversation is not there, or is another user's.
            InvalidRequest: a scope that a user token, or the key, cannot have.
        """
        if principal.kind != "key" or principal.key_id is None:
            async with self._database.operator(read_only=True) as operator:
                await operator.tenants.get(tenant_id)
            raise Forbidden("Make tokens with a key of the tenant: they end with it.", code="tenant_key_required")
        claims = Claims(
            tenant_id=tenant_id,
            key_id=principal.key_id,
            user_id=body.user_id,
            scopes=_scopes(principal, body),
            expires=int(time()) + body.expires_in_seconds,
            employee_id=body.employee_id,
            conversation_id=body.conversation_id,
        )
        secrets = await self._authenticator.secrets()
        async with self._database.unit(tenant_id) as unit:
            await _require_bounds(unit, body)
            token_id, token = sign(claims, secrets)
            await unit.audit.record("user_token.created", object_type="user_token", object_id=str(token_id))
        return UserToken(
            id=token_id,
            token=token,
            tenant_id=tenant_id,
            user_id=claims.user_id,
            employee_id=claims.employee_id,
            conversation_id=claims.conversation_id,
            scopes=claims.scopes,
            expires_at=claims.expires_at,
        )


def _scopes(principal: Principal, body: TokenCreate) -> tuple[Scope, ...]:
    wanted = _USUAL if body.scopes is None else body.scopes
    allowed = USER_SCOPES & principal.scopes
    if body.scopes is None:
        return tuple(scope for scope in wanted if scope in allowed)
    if excess := [scope for scope in wanted if scope not in allowed]:
        detail = f"A token of this key cannot have {', '.join(excess)}."
        raise InvalidRequest(detail, errors=(FieldError(pointer="/scopes", detail=detail),))
    return tuple(dict.fromkeys(wanted))


async def _require_bounds(unit: Unit, body: TokenCreate) -> None:
    if body.employee_id is not None:
        await unit.employees.get(body.employee_id)
    if body.conversation_id is not None:
        conversation = await unit.conversations.get(body.conversation_id)
        if conversation.user_id != body.user_id or body.employee_id not in {None, conversation.employee_id}:
            raise NotFound("There is no such conversation.")
