"""The providers that exist, by the word that tenants write."""

from collections.abc import Mapping
from typing import Protocol

import httpx2

from retinue.domain.errors import InvalidRequest
from retinue.providers.base import Provider, ProviderConfig
from retinue.providers.checking import PROVIDER_FIELD, refuse


class ProviderFactory(Protocol):
    """Makes one vendor's providers."""

    @property
    def needs_key(self) -> bool:
        """Whether the vendor's own address asks for a key. A compatible server at another address may not."""

    def validate(self, config: ProviderConfig) -> None:
        """Raises: InvalidRequest: the first thing that is wrong, with a pointer to its field."""

    def open(self, config: ProviderConfig) -> Provider:
        """A provider for this configuration; cheap, because connections and SDK clients are shared.

        Raises:
            InvalidRequest: as `validate`.
        """

    def forget(self) -> None:
        """Drop what holds keys of tenants; what is needed again is made again."""


class ProviderRegistry:
    """Looks providers up. Owns the HTTP client that they share, if it is given one."""

    def __init__(self, factories: Mapping[str, ProviderFactory], *, http: httpx2.AsyncClient | None = None) -> None:
        self._factories = dict(factories)
        self._http = http

    @property
    def names(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted(self._factories))

    def needs_key(self, name: str) -> bool:
        """Raises: InvalidRequest: `unknown_provider`."""
        return self._factory(name).needs_key

    def validate(self, config: ProviderConfig) -> None:
        """Judge a configuration without asking the provider.

        Raises:
            InvalidRequest: `unknown_provider`, `api_key_missing`, `egress_refused`, or an option or a name that is
                wrong, with a pointer to its field.
        """
        self._factory(config.provider).validate(config)

    def open(self, config: ProviderConfig) -> Provider:
        """The provider for a configuration.

        Raises:
            InvalidRequest: as `validate`: what was valid when it was stored may not be any more.
        """
        return self._factory(config.provider).open(config)

    def forget(self) -> None:
        """Drop whatever holds keys of tenants: one of them was deleted. Calls that are being made are not disturbed."""
        for factory in self._factories.values():
            factory.forget()

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    def _factory(self, name: str) -> ProviderFactory:
        factory = self._factories.get(name)
        if factory is None:
            raise self._unknown()
        return factory

    def _unknown(self) -> InvalidRequest:
        return refuse(PROVIDER_FIELD, f"The provider must be one of: {', '.join(self.names)}.", "unknown_provider")
