"""The provider `anthropic`."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import ClassVar

import httpx2

from retinue.domain.model_io import Capabilities, ModelRequest, ProviderEvent
from retinue.providers.anthropic.decoder import MessagesDecoder
from retinue.providers.anthropic.request import MessagesDialect, build_body
from retinue.providers.base import Provider, Sink
from retinue.providers.checking import probe
from retinue.providers.patterned import Patterned
from retinue.providers.upstream import CallLimits, stream_answer


class AnthropicProvider(Provider):
    """Messages through the vendor's SDK, decoded by ourselves."""

    name: ClassVar[str] = "anthropic"

    def __init__(self, client: Patterned, dialect: MessagesDialect, limits: CallLimits | None = None) -> None:
        self._client = client
        self._dialect = dialect
        self._limits = limits or CallLimits()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            streams_reasoning=True,
            calls_tools=True,
            reports_usage=True,
            takes_temperature=self._dialect.takes_temperature,
        )

    def stream(self, request: ModelRequest, sink: Sink | None = None) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        send = partial(self._send, request)
        return stream_answer(send, MessagesDecoder(request.call_ids, self._dialect.producer), self._limits, sink)

    async def check(self, request: ModelRequest) -> None:
        await probe(self, request)

    async def _send(self, request: ModelRequest) -> httpx2.Response:
        return await self._client.ask(build_body(request, self._dialect))
