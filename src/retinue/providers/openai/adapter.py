"""The provider `openai`."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, ClassVar, cast

import httpx2
from openai import AsyncOpenAI, AsyncStream

from retinue.domain.model_io import Capabilities, ModelRequest, ProviderEvent
from retinue.providers.base import Provider
from retinue.providers.checking import probe
from retinue.providers.openai.decoder import ChatDecoder
from retinue.providers.openai.request import Dialect, build_body
from retinue.providers.sending import Ask, Body, Sender
from retinue.providers.upstream import CallLimits, stream_answer


class OpenAIProvider(Provider):
    """Chat Completions through the vendor's SDK, decoded by ourselves: the SDK's chunk objects cost ten times as much

    and its stream helper fails on answers of compatible servers.
    """

    name: ClassVar[str] = "openai"

    def __init__(
        self, sender: Sender, dialect: Dialect, capabilities: Capabilities, limits: CallLimits | None = None
    ) -> None:
        self._sender = sender
        self._dialect = dialect
        self._capabilities = capabilities
        self._limits = limits or CallLimits()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        send = partial(self._send, request)
        return stream_answer(send, ChatDecoder(request.call_ids, self._dialect.producer), self._limits)

    async def check(self, request: ModelRequest) -> None:
        await probe(self, request)

    async def _send(self, request: ModelRequest) -> httpx2.Response:
        return await self._sender.send(build_body(request, self._dialect))


def asking(client: AsyncOpenAI) -> Ask:
    """Asks through the SDK."""

    async def ask(body: Body) -> httpx2.Response:
        # cast_to decides what comes back: the response itself, open, with nothing read.
        response = await client.post(
            "/chat/completions", cast_to=httpx2.Response, body=body, stream=True, stream_cls=AsyncStream[Any]
        )
        return cast(httpx2.Response, response)

    return ask
