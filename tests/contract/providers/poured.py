"""A provider that is read with a sink, and behaves as if it was not."""

from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

from retinue.domain.model_io import Capabilities, ModelRequest, ProviderEvent
from retinue.providers.base import Provider, Sink


class Poured(Provider):
    """Gives out what its sink has taken before whatever comes next, an error among it."""

    name: ClassVar[str] = "poured"

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @property
    def capabilities(self) -> Capabilities:
        return self._provider.capabilities

    async def check(self, request: ModelRequest) -> None:
        await self._provider.check(request)

    async def stream(
        self,
        request: ModelRequest,
        sink: Sink | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        taken: list[ProviderEvent] = []

        def take(pieces: Sequence[ProviderEvent]) -> bool:
            taken.extend(pieces)
            return True

        batches = self._provider.stream(request, take)
        try:
            async for events in batches:
                if taken:
                    yield tuple(taken)
                    taken.clear()
                yield events
        except Exception:
            if taken:
                yield taken
            raise
        finally:
            await batches.aclose()
