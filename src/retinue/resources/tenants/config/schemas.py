"""A tenant's choice of provider, as it comes in, and what a check of it says."""

import msgspec
from msgspec import UNSET, UnsetType

from retinue.domain.policy import ReasoningEffort
from retinue.http.schemas import ModelName, RequestBody, Secret, Temperature, Tokens, Url, Word
from retinue.providers.base import ProviderOptions


class TenantConfigPut(RequestBody, frozen=True, kw_only=True):
    """The whole configuration. Only the key may be left out without being taken away."""

    llm_provider: Word
    """`openai` (also for every compatible server), `anthropic`, or `scripted`, which works offline."""
    llm_model: ModelName
    """The model's name in the provider's words."""
    llm_api_key: Secret | UnsetType | None = UNSET
    """Write-only. Left out, the stored key stays as long as provider and origin stay; null removes it."""
    llm_base_url: Url | None = None
    """Another server that speaks the provider's protocol; null means the vendor's own. A new origin drops the key."""
    context_tokens: Tokens | None = None
    """The model's window in tokens; null means the server's default."""
    max_output_tokens: Tokens | None = None
    """How long one answer may get: shorter than `context_tokens`; null means the server's default."""
    temperature: Temperature | None = None
    """Null sends nothing to the provider."""
    reasoning: ReasoningEffort | None = None
    """The default for employees that do not choose; null sends nothing to the provider."""
    options: ProviderOptions = ProviderOptions()
    """Quirks of compatible servers."""

    def __repr__(self) -> str:
        return f"TenantConfigPut(llm_provider={self.llm_provider!r}, llm_model={self.llm_model!r})"

    __str__ = __repr__


class CheckProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why the provider did not answer; the same words as in a problem document."""

    code: str
    title: str
    detail: str
    retryable: bool


class ConfigCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider said when it was really asked."""

    ok: bool
    provider: str
    model: str
    latency_ms: int
    problem: CheckProblem | None = None
    """Null if all is well."""
