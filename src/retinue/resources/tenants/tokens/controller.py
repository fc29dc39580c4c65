"""`/tenants/{tenant_id}/user-tokens`."""

from uuid import UUID

from litestar import Controller, post
from litestar.params import FromPath, JSONBody

from retinue.domain.access import Scope
from retinue.domain.errors import Forbidden
from retinue.http.idempotency import NoKeyHeader, refuse_key
from retinue.http.requests import EdgeRequest
from retinue.resources.tenants.tokens.schemas import TokenCreate, UserToken
from retinue.resources.tenants.tokens.service import TokenService


class TokenController(Controller):
    path = "/tenants/{tenant_id:uuid}/user-tokens"
    tags = ("access",)
    tokens: TokenService

    @post(scope=Scope.TOKENS_WRITE, problems={"tenant_key_required": Forbidden})
    async def create_user_token(
        self,
        request: EdgeRequest,
        tenant_id: FromPath[UUID],
        data: JSONBody[TokenCreate],
        idempotency_key: NoKeyHeader = None,
    ) -> UserToken:
        """Make a short-lived token for one user's browser.

        Only with a key of the tenant: a token ends at its time or with the key that made it, whichever comes first.
        Another request makes another token, which does no harm; an `Idempotency-Key` is refused, because Retinue keeps
        no token that it could answer with again.
        """
        refuse_key(idempotency_key)
        return await self.tokens.create(request.principal, tenant_id, data)
