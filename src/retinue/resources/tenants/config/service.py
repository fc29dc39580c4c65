"""A tenant's provider configuration: its key goes in and never comes out."""

from time import perf_counter
from uuid import UUID

import msgspec
from msgspec import UNSET

from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.domain.errors import EgressRefused, InvalidRequest, NotFound, ProviderError
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import now
from retinue.domain.model_io import ModelRequest
from retinue.domain.policy import RunLimits
from retinue.domain.tenants import SecretState, StoredConfig, TenantConfig
from retinue.egress.policy import origin_of
from retinue.http.idempotency import Once, Replay
from retinue.http.schemas import changes
from retinue.providers.base import ProviderConfig
from retinue.providers.registry import ProviderRegistry
from retinue.resources.tenants.config.bounds import check_model_settings, refusal
from retinue.resources.tenants.config.schemas import CheckProblem, ConfigCheck, TenantConfigPut
from retinue.runs.context import api_key_place, load_provider, open_provider, trial_request

_NEVER_CHOSEN = {"tenant_id", "created_at", "updated_at"}
MIN_LENGTH_TO_SHOW = 8
"""Of a shorter key four characters would tell too much."""


class ConfigService:
    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        providers: ProviderRegistry,
        limits: RunLimits,
        once: Once,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._providers = providers
        self._limits = limits
        self._once = once

    async def get(self, tenant_id: UUID) -> TenantConfig:
        """Raises: NotFound, with code `provider_not_configured` if it is only the configuration that is missing."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            stored = await unit.config.get()
        if stored is None:
            await self._require_tenant(tenant_id)
            raise NotFound("This tenant has no model provider yet.", code="provider_not_configured")
        return stored.config

    async def put(self, tenant_id: UUID, body: TenantConfigPut) -> TenantConfig:
        """Validate and store the whole configuration.

        Raises:
            NotFound: no such tenant.
            InvalidRequest: the provider does not exist, needs a key or refuses an option, the address may not be
                called, or a number does not fit the server's limits.
        """
        async with self._database.unit(tenant_id) as unit:
            current = await unit.config.get_for_update()
            stored = self._stored(tenant_id, body, current)
            self._validate(stored, is_key_removed=body.llm_api_key is None)
            await unit.config.put(stored)
            await unit.audit.record(
                "config.updated",
                object_type="config",
                object_id=str(tenant_id),
                payload={"changed": _changed(current, stored)},
            )
        return stored.config

    async def check(self, tenant_id: UUID, key: IdempotencyKey | None) -> ConfigCheck | Replay:
        """Ask the provider as a run would, outside of any transaction.

        Raises:
            NotFound: no such tenant.
            Conflict: `provider_not_configured`, `idempotency_key_in_use`.
            InvalidRequest: `idempotency_key_reused`.
        """
        await self._require_tenant(tenant_id)
        async with self._database.unit(tenant_id, read_only=key is None) as unit:
            if replay := await self._once.begin(unit.idempotency, key, goes_on=True):
                return replay
            stored, provider = await load_provider(unit, self._keyring)
        try:
            found = await self._try(stored.config, provider)
            if key is not None:
                async with self._database.unit(tenant_id) as unit:
                    await self._once.end_later(unit.idempotency, key, found)
        except Exception:
            if key is not None:
                async with self._database.unit(tenant_id) as unit:
                    await unit.idempotency.forget(key)
            raise
        return found

    async def _try(self, config: TenantConfig, provider: ProviderConfig) -> ConfigCheck:
        began = perf_counter()
        problem = await self._ask(provider, trial_request(config, self._limits))
        return ConfigCheck(
            ok=problem is None,
            provider=provider.provider,
            model=provider.model,
            latency_ms=round((perf_counter() - began) * 1000),
            problem=problem,
        )

    async def _ask(self, config: ProviderConfig, request: ModelRequest) -> CheckProblem | None:
        try:
            await self._providers.open(config).check(request)
        # Not valid any more: the operator's rules can change after a configuration was stored.
        except (ProviderError, InvalidRequest) as error:
            return CheckProblem(
                code=error.problem_code, title=error.title, detail=error.detail, retryable=error.retryable
            )
        return None

    async def _require_tenant(self, tenant_id: UUID) -> None:
        async with self._database.operator(read_only=True) as unit:
            await unit.tenants.get(tenant_id)

    def _validate(self, stored: StoredConfig, *, is_key_removed: bool) -> None:
        """Taking a key away must always be possible; the provider then says itself that it wants one."""
        check_model_settings(stored.config, self._limits)
        provider = open_provider(stored, self._keyring)
        try:
            opened = self._providers.open(provider)
        except InvalidRequest as error:
            if not (is_key_removed and error.problem_code == "api_key_missing"):
                raise
            return
        if stored.config.temperature is not None and not opened.capabilities.takes_temperature:
            raise refusal("/temperature", "This provider takes no temperature.")

    def _stored(self, tenant_id: UUID, body: TenantConfigPut, current: StoredConfig | None) -> StoredConfig:
        config = _config(tenant_id, body, current)
        if isinstance(body.llm_api_key, str):
            config = _with_key(config, SecretState(set=True, last4=last4(body.llm_api_key)))
            return StoredConfig(
                config=config, sealed_api_key=self._keyring.seal(body.llm_api_key, api_key_place(config))
            )
        if body.llm_api_key is UNSET and current is not None and _has_same_owner(current.config, config):
            config = _with_key(config, current.config.llm_api_key)
            return StoredConfig(config=config, sealed_api_key=current.sealed_api_key)
        return StoredConfig(config=config)


def last4(key: str) -> str | None:
    return key[-4:] if len(key) >= MIN_LENGTH_TO_SHOW else None


def _config(tenant_id: UUID, body: TenantConfigPut, current: StoredConfig | None) -> TenantConfig:
    """The new configuration, still without a key."""
    at = now()
    return TenantConfig(
        tenant_id=tenant_id,
        llm_provider=body.llm_provider,
        llm_model=body.llm_model,
        llm_api_key=SecretState(set=False),
        llm_base_url=body.llm_base_url,
        context_tokens=body.context_tokens,
        max_output_tokens=body.max_output_tokens,
        temperature=body.temperature,
        reasoning=body.reasoning,
        options={name: value for name, value in msgspec.structs.asdict(body.options).items() if value is not None},
        created_at=current.config.created_at if current else at,
        updated_at=at,
    )


def _changed(current: StoredConfig | None, stored: StoredConfig) -> list[str]:
    """Names only. A key counts as changed whenever it was sent: whether it is the same is nobody's business."""
    if current is None:
        return [name for name in stored.config.__struct_fields__ if name not in _NEVER_CHOSEN]
    names = changes(current.config, stored.config)
    is_same_key = current.sealed_api_key == stored.sealed_api_key
    return names if is_same_key or "llm_api_key" in names else [*names, "llm_api_key"]


def _with_key(config: TenantConfig, key: SecretState) -> TenantConfig:
    return msgspec.structs.replace(config, llm_api_key=key)


def _has_same_owner(old: TenantConfig, new: TenantConfig) -> bool:
    """A provider's key belongs to one origin."""
    return old.llm_provider == new.llm_provider and _origin(old) == _origin(new)


def _origin(config: TenantConfig) -> str | None:
    """A malformed address has none; validation names it afterwards."""
    try:
        return None if config.llm_base_url is None else origin_of(config.llm_base_url)
    except EgressRefused:
        return ""
