"""The contract between the run engine and a model vendor."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import ClassVar

import msgspec

from retinue.domain.model_io import Capabilities, ModelRequest, ProviderEvent

Sink = Callable[[Sequence[ProviderEvent]], bool]
"""Takes pieces of text at once, all of them, or says that it took none. It is called while its reader waits, must be
quick, and is not called any more once the reader was cancelled; what it raises is raised to the reader."""


class ProviderOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quirks of compatible servers that a tenant can set. An adapter refuses an option that means nothing to it."""

    azure_api_version: str | None = None
    """Set for Azure OpenAI: selects the Azure form of the URL and of the key header."""
    max_tokens_field: str | None = None
    """`max_tokens` or `max_completion_tokens`; null lets the adapter choose by origin."""
    include_usage: bool | None = None
    """False for servers that refuse `stream_options`."""
    echo_reasoning: bool | None = None
    """True for servers that want `reasoning_content` of earlier turns back."""
    system_role: str | None = None
    """`system` or `developer`."""


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's choice of provider, with its key in clear. Lives in memory only, never in a log or a repr."""

    provider: str
    model: str
    api_key: str | None = None
    base_url: str | None = None
    """Null means the vendor's own origin."""
    options: ProviderOptions = ProviderOptions()

    def __repr__(self) -> str:
        return f"ProviderConfig(provider={self.provider!r}, model={self.model!r}, base_url={self.base_url!r})"

    __str__ = __repr__


class Provider(ABC):
    """One vendor, configured for one tenant. Instances are cheap; connections are shared underneath.

    Guarantees of `stream`, which every implementation keeps and the contract suite checks:

    - it yields `TextPiece`, `ReasoningPiece`, … in the vendor's order and ends with exactly one `Finished`; what came
      together is yielded together, at once, and never nothing;
    - pieces are never empty;
    - whatever goes wrong surfaces as a `ProviderError`; no vendor exception and no transport exception escapes;
    - a stream that ends without a finish reason raises `ProviderTruncated`;
    - closing the generator, or cancelling the task that awaits it, closes the upstream socket;
    - it never retries: that is `providers.retry`.
    """

    __slots__ = ()

    name: ClassVar[str]
    """The word that tenants write as `llm_provider`."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities: ...

    @abstractmethod
    def stream(self, request: ModelRequest, sink: Sink | None = None) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        """Ask the model and yield its answer piece by piece.

        Args:
            sink: may be given text that needs no waiting, after something of the answer was yielded; what it takes is
                not yielded.

        Raises:
            ProviderError: one of its subclasses, before or between pieces; and what the sink raises.
        """

    @abstractmethod
    async def check(self, request: ModelRequest) -> None:
        """Find out, for as few tokens as possible, whether key, address and model work and the settings are taken.

        Raises:
            ProviderError: why not.
        """
