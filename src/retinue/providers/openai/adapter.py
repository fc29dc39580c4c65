"""The provider `openai`."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import ClassVar

import httpx2

from retinue.domain.model_io import Capabilities, ModelRequest, ProviderEvent
from retinue.providers.base import Provider, Sink
from retinue.providers.checking import probe
from retinue.providers.openai.decoder import ChatDecoder
from retinue.providers.openai.request import Dialect, build_body
from retinue.providers.patterned import Patterned
from retinue.providers.upstream import CallLimits, stream_answer


class OpenAIProvider(Provider):
    """Chat Completions through the vendor's SDK, decoded by ourselves: the SDK's chunk objects cost ten times as much

    and its stream helper fails on answers of compatible servers.
    """

    __slots__ = ("_capabilities", "_client", "_dialect", "_limits")

    name: ClassVar[str] = "openai"

    def __init__(
        self, client: Patterned, dialect: Dialect, capabilities: Capabilities, limits: CallLimits | None = None
    ) -> None:
        self._client = client
        self._dialect = dialect
        self._capabilities = capabilities
        self._limits = limits or CallLimits()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def stream(self, request: ModelRequest, sink: Sink | None = None) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        send = partial(self._send, request)
        return stream_answer(send, ChatDecoder(request.call_ids, self._dialect.producer), self._limits, sink)

    async def check(self, request: ModelRequest) -> None:
        await probe(self, request)

    async def _send(self, request: ModelRequest) -> httpx2.Response:
        return await self._client.ask(build_body(request, self._dialect))
