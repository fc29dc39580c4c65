"""`/tenants/{tenant_id}/api-keys`."""

from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from retinue.domain.access import ApiKey, Scope
from retinue.domain.errors import Conflict
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.resources.tenants.keys.schemas import KeyCreate, KeyRotate, NewKey
from retinue.resources.tenants.keys.service import KeyService


class KeyController(Controller):
    path = "/tenants/{tenant_id:uuid}/api-keys"
    tags = ("access",)
    keys: KeyService

    @post(scope=Scope.KEYS_WRITE, replays=True)
    async def create_api_key(
        self,
        request: EdgeRequest,
        tenant_id: FromPath[UUID],
        data: JSONBody[KeyCreate],
        idempotency_key: KeyHeader = None,
    ) -> Response[NewKey]:
        """Make a key. The answer shows it, and nothing ever shows it again."""
        key = key_of(request, idempotency_key, data)
        return answer_with(await self.keys.create(request.principal, tenant_id, data, key))

    @get(scope=Scope.KEYS_READ)
    async def list_api_keys(
        self, request: EdgeRequest, tenant_id: FromPath[UUID], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response[list[ApiKey]]:
        """List a tenant's keys, oldest first, revoked and expired ones, too."""
        return answer_page(request, await self.keys.list(tenant_id, limit=limit, cursor=cursor))

    @get("/{key_id:uuid}", scope=Scope.KEYS_READ)
    async def read_api_key(self, tenant_id: FromPath[UUID], key_id: FromPath[UUID]) -> ApiKey:
        """Read what is known of a key."""
        return await self.keys.get(tenant_id, key_id)

    @post("/{key_id:uuid}/rotate", scope=Scope.KEYS_WRITE, replays=True, problems={"key_ended": Conflict})
    async def rotate_api_key(
        self,
        request: EdgeRequest,
        tenant_id: FromPath[UUID],
        key_id: FromPath[UUID],
        data: JSONBody[KeyRotate | None] = None,
        idempotency_key: KeyHeader = None,
    ) -> Response[NewKey]:
        """Make a key that follows this one. Both work until the old one's grace period is over."""
        body = data or KeyRotate()
        key = key_of(request, idempotency_key, body)
        return answer_with(await self.keys.rotate(request.principal, tenant_id, key_id, body, key))

    @delete("/{key_id:uuid}", scope=Scope.KEYS_WRITE)
    async def revoke_api_key(self, tenant_id: FromPath[UUID], key_id: FromPath[UUID]) -> None:
        """Revoke a key.

        On every replica it opens nothing within five seconds. Open streams of it, and of user tokens that it made,
        break off within a minute; their runs go on.
        """
        await self.keys.revoke(tenant_id, key_id)
