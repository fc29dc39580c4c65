"""A tenant's configuration."""

from typing import Any

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.prepared import Asked, prepared
from retinue.db.repositories.base import TenantRepository
from retinue.domain.tenants import SecretState, StoredConfig, TenantConfig


class ConfigRepository(TenantRepository):
    async def get(self) -> StoredConfig | None:
        return await self._one(self._read())

    async def get_for_update(self) -> StoredConfig | None:
        """Read what this transaction is about to replace; another one that wants the same waits, also for the first.
        So does a rotation of master keys: written back, a key that it has moved would be where it was before.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._lock_tenant()
        return await self._one(self._statement().with_for_update(of=t.TenantConfig, key_share=True))

    async def put(self, stored: StoredConfig) -> None:
        """Create or replace. `created_at` of an existing configuration stays.

        Raises:
            NotFound: there is no such tenant.
        """
        columns = _columns(stored)
        replaced = columns.keys() - {"tenant_id", "created_at"}

        def or_replace(insert: Insert) -> Insert:
            return insert.on_conflict_do_update(
                index_elements=["tenant_id"], set_={name: insert.excluded[name] for name in sorted(replaced)}
            )

        await self._add(t.TenantConfig, columns, refine=or_replace, missing="There is no such tenant.")

    def _statement(self) -> sa.Select[Any]:
        own = t.TenantPrices.tenant_id == t.TenantConfig.tenant_id
        return self._select(t.TenantConfig, t.TenantConfig, t.TenantPrices.prices).outerjoin(t.TenantPrices, own)

    @prepared
    def _read(self) -> sa.Select[Any]:
        return self._statement()

    async def _one(self, statement: sa.Select[Any] | Asked) -> StoredConfig | None:
        row = await self._executor.row(statement)
        return None if row is None else stored_config(row)


def _columns(stored: StoredConfig) -> dict[str, Any]:
    config = stored.config
    return {
        "tenant_id": config.tenant_id,
        "llm_provider": config.llm_provider,
        "llm_model": config.llm_model,
        "sealed_api_key": stored.sealed_api_key,
        "api_key_last4": config.llm_api_key.last4 if config.llm_api_key.set else None,
        "llm_base_url": config.llm_base_url,
        "context_tokens": config.context_tokens,
        "max_output_tokens": config.max_output_tokens,
        "temperature": config.temperature,
        "reasoning": config.reasoning,
        "options": config.options,
        "created_at": config.created_at,
        "updated_at": config.updated_at,
    }


def stored_config(row: sa.Row[Any]) -> StoredConfig:
    config = TenantConfig(
        tenant_id=row.tenant_id,
        llm_provider=row.llm_provider,
        llm_model=row.llm_model,
        llm_api_key=SecretState(set=row.sealed_api_key is not None, last4=row.api_key_last4),
        llm_base_url=row.llm_base_url,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        temperature=row.temperature,
        reasoning=row.reasoning,
        options=row.options,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
    return StoredConfig(config=config, sealed_api_key=row.sealed_api_key, prices=row.prices or ())
