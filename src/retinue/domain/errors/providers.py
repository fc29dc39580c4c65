"""What goes wrong at a tenant's model provider."""

from retinue.domain.errors.base import RetinueError


class ProviderError(RetinueError):
    """The tenant's model provider did not deliver. `retry_after` is in seconds, as far as the provider said."""

    code, title, status = "provider_protocol", "The model provider failed", 502

    def __init__(self, detail: str = "", *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class ProviderTimeout(ProviderError):
    code, title, status, retryable = "provider_timeout", "The model provider did not answer in time", 504, True


class ProviderReset(ProviderError):
    code, title, status, retryable = "provider_reset", "The connection to the model provider broke", 502, True


class ProviderTruncated(ProviderError):
    code, title, status, retryable = "provider_truncated", "The model provider's stream ended early", 502, True


class ProviderProtocol(ProviderError):
    code, title, status = "provider_protocol", "The model provider answered something unreadable", 502


class ProviderOverloaded(ProviderError):
    code, title, status, retryable = "provider_overloaded", "The model provider is overloaded", 503, True


class ProviderRateLimited(ProviderError):
    code, title, status, retryable = "provider_rate_limited", "The model provider limits the rate", 429, True


class ProviderAuth(ProviderError):
    code, title, status = "provider_auth", "The model provider refused the key", 502


class ProviderRefused(ProviderError):
    """The provider understood the request and will not serve it (unknown model, too long, no credit, policy)."""

    code, title, status = "provider_refused", "The model provider refused the request", 502
