"""From a tenant's configuration to a provider `openai`."""

import httpx2

from retinue.domain.model_io import Capabilities
from retinue.egress import EgressPolicy
from retinue.providers.base import ProviderConfig, ProviderOptions
from retinue.providers.checking import (
    OPTIONS_FIELD,
    URL_FIELD,
    check_base_url,
    check_key,
    check_model,
    has_origin,
    refuse,
)
from retinue.providers.clients import NO_KEY, ClientCache
from retinue.providers.earlier_turns import producer_of
from retinue.providers.openai.adapter import OpenAIProvider
from retinue.providers.openai.clients import AzureChatClient, ChatClient
from retinue.providers.openai.request import Dialect
from retinue.providers.upstream import HEADERS, CallLimits, call_timeout

OWN_ORIGIN = "https://api.openai.com"
OWN_URL = OWN_ORIGIN + "/v1"
DEEPSEEK_ORIGIN = "https://api.deepseek.com"


class OpenAIFactory:
    """Opens `openai` providers that share one HTTP client."""

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
        check_key(config, is_needed=_is_vendor(config, url))
        _check_words(config.options)
        if config.options.azure_api_version is not None and url is None:
            raise refuse(URL_FIELD, "Azure needs the base URL of the resource.")

    def open(self, config: ProviderConfig) -> OpenAIProvider:
        """Raises: InvalidRequest: as `validate`."""
        self.validate(config)
        capabilities = Capabilities(
            streams_reasoning=not _is_vendor(config, config.base_url),
            calls_tools=True,
            reports_usage=config.options.include_usage is not False,
        )
        dialect = _dialect(config, producer=producer_of(config.provider, self._address(config)))
        return OpenAIProvider(self._clients.get(config), dialect, capabilities, self._limits)

    def forget(self) -> None:
        """Drop what holds keys of tenants."""
        self._clients.clear()

    def _address(self, config: ProviderConfig) -> str:
        url = check_base_url(config, self._policy) or OWN_URL
        is_short = config.options.azure_api_version is not None and not url.endswith("/openai")
        return f"{url}/openai" if is_short else url

    def _make(self, config: ProviderConfig) -> ChatClient | AzureChatClient:
        key = config.api_key or NO_KEY
        url = self._address(config)
        timeout = call_timeout(self._limits.deadlines)
        version = config.options.azure_api_version
        client: ChatClient | AzureChatClient
        if version is not None:
            client = AzureChatClient(
                base_url=url,
                api_version=version,
                api_key=key,
                http_client=self._http,
                max_retries=0,
                timeout=timeout,
                default_headers=HEADERS,
            )
        else:
            client = ChatClient(
                base_url=url,
                api_key=key,
                http_client=self._http,
                max_retries=0,
                timeout=timeout,
                default_headers=HEADERS,
            )
        _forget_environment(client)
        return client


def _forget_environment(client: ChatClient | AzureChatClient) -> None:
    """The SDK fills gaps from OPENAI_* variables. Those are the operator's and must not reach a tenant's server."""
    client.organization = None
    client.project = None
    client.admin_api_key = None
    client.webhook_secret = None
    client._custom_headers = HEADERS  # noqa: SLF001 - no public way leads around OPENAI_CUSTOM_HEADERS


def _is_vendor(config: ProviderConfig, url: str | None) -> bool:
    """OpenAI itself or Azure, as opposed to a compatible server."""
    return config.options.azure_api_version is not None or has_origin(url, OWN_ORIGIN)


def _dialect(config: ProviderConfig, *, producer: str) -> Dialect:
    options = config.options
    default_field = "max_completion_tokens" if _is_vendor(config, config.base_url) else "max_tokens"
    is_deepseek = config.base_url is not None and has_origin(config.base_url, DEEPSEEK_ORIGIN)
    return Dialect(
        max_tokens_field=options.max_tokens_field or default_field,
        include_usage=options.include_usage is not False,
        echo_reasoning=options.echo_reasoning is True,
        echo_reasoning_of_calls=options.echo_reasoning is None and is_deepseek,
        system_role=options.system_role or "system",
        producer=producer,
    )


def _check_words(options: ProviderOptions) -> None:
    choices = {
        "max_tokens_field": (options.max_tokens_field, ("max_tokens", "max_completion_tokens")),
        "system_role": (options.system_role, ("system", "developer")),
    }
    for name, (value, allowed) in choices.items():
        if value is not None and value not in allowed:
            raise refuse(f"{OPTIONS_FIELD}/{name}", f"{name} must be one of: {', '.join(allowed)}.")
    version = options.azure_api_version
    if version is not None and not (version.isascii() and version.replace("-", "").isalnum() and len(version) <= 64):
        raise refuse(f"{OPTIONS_FIELD}/azure_api_version", "azure_api_version looks like 2025-04-01-preview.")
