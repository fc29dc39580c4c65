"""Tenants and the providers they configure."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.policy import ReasoningEffort
from retinue.domain.prices import ModelPrice


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    slug: str
    created_at: datetime
    updated_at: datetime


class SecretState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is ever shown of a secret."""

    set: bool
    last4: str | None = None


class TenantConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's model provider, as it is shown. The key itself goes in and never comes out."""

    tenant_id: UUID
    llm_provider: str
    llm_model: str
    llm_api_key: SecretState
    llm_base_url: str | None = None
    """Null means the vendor's own address."""
    context_tokens: int | None = None
    """The model's window in tokens; null means the server's default."""
    max_output_tokens: int | None = None
    temperature: float | None = None
    reasoning: ReasoningEffort | None = None
    """The default for employees and requests that do not choose; null sends nothing to the provider."""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    """Quirks of compatible servers; see `providers.base.ProviderOptions`."""
    created_at: datetime
    updated_at: datetime


class StoredConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration together with its encrypted key, for those who may decrypt it."""

    config: TenantConfig
    sealed_api_key: bytes | None = None
    prices: tuple[ModelPrice, ...] = ()
    """The tenant's own, which are stored elsewhere."""

    def __repr__(self) -> str:
        return f"StoredConfig(tenant_id={self.config.tenant_id})"

    __str__ = __repr__
