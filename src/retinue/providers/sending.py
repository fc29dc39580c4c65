"""Requests of a vendor's SDK, without having each of them built anew."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import msgspec

from retinue.providers.failures import from_response

Body = dict[str, Any]
Ask = Callable[[Body], Awaitable[httpx2.Response]]
"""Sends a body through the SDK and returns the answer, open, with nothing read; raises the SDK's errors."""

MAX_MODELS = 8
"""Of one client. Beyond them the one that was met first is forgotten."""


class Sender:
    """Asks one server with one key.

    What an SDK adds to a body depends on the client and the model and on nothing else: the address, the headers and the
    time limits. To have it put together takes longer than all the rest of a short call. So the SDK makes the first
    request of a model, and the next ones are the same with another body.
    """

    def __init__(self, http: httpx2.AsyncClient, ask: Ask, *, in_error: bool) -> None:
        """
        Args:
            http: the client that the SDK uses, too.
            in_error: what the SDK looks at; see `failures.from_response`.
        """
        self._http = http
        self._ask = ask
        self._in_error = in_error
        self._built: dict[str, httpx2.Request] = {}

    async def send(self, body: Body) -> httpx2.Response:
        """The open answer to a body that names its model. It is a success.

        Raises:
            ProviderError, openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError: `failures.from_exception`
                makes the same of them, whoever built the request.
        """
        built = self._built.get(body["model"])
        if built is None:
            response = await self._ask(body)
            built = self._keep(body["model"], response.request)
        else:
            response = await self._http.send(_with_content(built, msgspec.json.encode(body)), stream=True)
            if not response.is_success:
                raise await from_response(response, in_error=self._in_error)
        response.request = built  # not to hold a whole conversation in memory for as long as the answer takes
        return response

    def _keep(self, model: str, request: httpx2.Request) -> httpx2.Request:
        if model not in self._built and len(self._built) >= MAX_MODELS:
            del self._built[next(iter(self._built))]
        built = self._built[model] = _with_content(request, b"")
        return built


def _with_content(request: httpx2.Request, content: bytes) -> httpx2.Request:
    headers = request.headers.copy()
    headers["Content-Length"] = str(len(content))
    stream = httpx2.ByteStream(content)
    return httpx2.Request(request.method, request.url, headers=headers, stream=stream, extensions=request.extensions)
