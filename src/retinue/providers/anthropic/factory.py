"""From a tenant's configuration to a provider `anthropic`."""

import httpx2

from retinue.egress import EgressPolicy
from retinue.providers.anthropic.adapter import AnthropicProvider
from retinue.providers.anthropic.clients import MessagesClient
from retinue.providers.anthropic.request import MessagesDialect
from retinue.providers.base import ProviderConfig
from retinue.providers.checking import check_base_url, check_key, check_model, check_options, has_origin
from retinue.providers.clients import NO_KEY, ClientCache
from retinue.providers.earlier_turns import producer_of
from retinue.providers.upstream import HEADERS, CallLimits, call_timeout

OWN_ORIGIN = "https://api.anthropic.com"


class AnthropicFactory:
    """Opens `anthropic` providers that share one HTTP client."""

    needs_key = True

    def __init__(self, http: httpx2.AsyncClient, policy: EgressPolicy, limits: CallLimits | None = None) -> None:
        self._http = http
        self._policy = policy
        self._limits = limits or CallLimits()
        self._clients = ClientCache(self._make)

    def validate(self, config: ProviderConfig) -> None:
        """Raises: InvalidRequest: the first thing that is wrong, with a pointer to its field."""
        check_model(config)
        url = check_base_url(config, self._policy)
        check_key(config, is_needed=has_origin(url, OWN_ORIGIN))
        check_options(config, understood=())

    def open(self, config: ProviderConfig) -> AnthropicProvider:
        """Raises: InvalidRequest: as `validate`."""
        self.validate(config)
        dialect = MessagesDialect(
            takes_temperature=not has_origin(config.base_url, OWN_ORIGIN),
            producer=producer_of(config.provider, self._address(config)),
        )
        return AnthropicProvider(self._clients.get(config), dialect, self._limits)

    def forget(self) -> None:
        """Drop what holds keys of tenants."""
        self._clients.clear()

    def _address(self, config: ProviderConfig) -> str:
        """Without the version: the SDK adds /v1/messages itself; people write base URLs with it and without."""
        return (check_base_url(config, self._policy) or OWN_ORIGIN).removesuffix("/v1")

    def _make(self, config: ProviderConfig) -> MessagesClient:
        key = config.api_key or NO_KEY
        url = self._address(config)
        headers = dict(HEADERS)
        if not has_origin(url, OWN_ORIGIN):
            headers["X-Api-Key"] = key  # the SDK has moved to Authorization; servers built for older ones look here
        client = MessagesClient(
            base_url=url,
            api_key=key,
            http_client=self._http,
            max_retries=0,
            timeout=call_timeout(self._limits.deadlines),
            default_headers=headers,
            open_telemetry=False,
        )
        # The SDK adds headers from ANTHROPIC_CUSTOM_HEADERS. Those are the operator's and must not reach a tenant's
        # server; no public way leads around them.
        client._custom_headers = headers  # noqa: SLF001
        client.webhook_key = None
        return client
