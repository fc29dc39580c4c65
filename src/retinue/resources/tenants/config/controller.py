"""`/tenants/{tenant_id}/config`."""

from uuid import UUID

from litestar import Controller, Response, get, post, put
from litestar.params import FromPath, JSONBody

from retinue.domain.access import Scope
from retinue.domain.errors import (
    Conflict,
    EgressRefused,
    InvalidRequest,
    NotFound,
    SecretUnreadable,
    UnknownMasterKey,
)
from retinue.domain.tenants import TenantConfig
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.requests import EdgeRequest
from retinue.resources.tenants.config.schemas import ConfigCheck, TenantConfigPut
from retinue.resources.tenants.config.service import ConfigService

_SEALED = {kind.code: kind for kind in (SecretUnreadable, UnknownMasterKey)}
"""Where the stored key has to be opened."""


class ConfigController(Controller):
    path = "/tenants/{tenant_id:uuid}/config"
    tags = ("tenants",)
    configs: ConfigService

    @get(problems={"provider_not_configured": NotFound}, scope=Scope.CONFIG_READ)
    async def read_config(self, tenant_id: FromPath[UUID]) -> TenantConfig:
        """Read a tenant's model provider. The key is shown by its last characters only."""
        return await self.configs.get(tenant_id)

    @put(
        problems={
            "unknown_provider": InvalidRequest,
            "api_key_missing": InvalidRequest,
            "egress_refused": EgressRefused,
            **_SEALED,
        },
        scope=Scope.CONFIG_WRITE,
    )
    async def put_config(self, tenant_id: FromPath[UUID], data: JSONBody[TenantConfigPut]) -> TenantConfig:
        """Configure a tenant's model provider.

        The key goes in and never comes out. It belongs to one provider at one origin: if either changes, the stored
        key is dropped unless the same request brings a new one.
        """
        return await self.configs.put(tenant_id, data)

    @post(
        "/check",
        status_code=200,
        problems={"provider_not_configured": Conflict, "idempotency_key_in_use": Conflict, **_SEALED},
        replays=True,
        scope=Scope.CONFIG_WRITE,
    )
    async def check_config(
        self, request: EdgeRequest, tenant_id: FromPath[UUID], idempotency_key: KeyHeader = None
    ) -> Response[ConfigCheck]:
        """Ask the provider, for a few tokens, whether address, key and model work."""
        return answer_with(await self.configs.check(tenant_id, key_of(request, idempotency_key)))
