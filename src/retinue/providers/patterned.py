"""Clients of vendors' SDKs that do not put together each request anew."""

from functools import cached_property
from typing import Any, ClassVar

import httpx2
import msgspec

Body = dict[str, Any]

MAX_MODELS = 8
"""Of one client. Beyond them the one that was met first is forgotten."""


class Patterned:
    """Mixed into the client of an SDK, which stays in charge of every call: of its options, its sending and its errors.

    What it adds to a body depends on the client and the model and on nothing else: the address, the headers and the
    time limits. To put them together takes it longer than all the rest of a short call. So it does that for the first
    request of a model, and the next ones are the same with another body.
    """

    call: ClassVar[Any]
    """The SDK's options of every call, but for the body."""
    stream_class: ClassVar[Any]
    """The SDK wants to know one, although it makes no stream."""

    @cached_property
    def _patterns(self) -> dict[str, httpx2.Request]:
        return {}

    async def ask(self, body: Body) -> httpx2.Response:
        """The open answer, with nothing read, to a body that names its model. It is a success.

        Raises:
            openai.OpenAIError, anthropic.AnthropicError: those of the SDK.
        """
        options = self.call.model_copy(update={"json_data": body})
        sdk: Any = super()
        # The first argument decides what comes back.
        response: httpx2.Response = await sdk.request(
            httpx2.Response, options, stream=True, stream_cls=self.stream_class
        )
        # Not to hold a whole conversation in memory for as long as the answer takes.
        response.request = self._patterns.get(body["model"], response.request)
        return response

    def _build_request(self, options: Any, *, retries_taken: int = 0) -> httpx2.Request:
        # There is no public way to this place, where the SDK's client for Azure has its own, too.
        model: str = options.json_data["model"]
        pattern = self._patterns.get(model)
        if pattern is not None:
            return _with_content(pattern, msgspec.json.encode(options.json_data))
        sdk: Any = super()
        request: httpx2.Request = sdk._build_request(options, retries_taken=retries_taken)  # noqa: SLF001
        self._keep(model, request)
        return request

    def _keep(self, model: str, request: httpx2.Request) -> None:
        if len(self._patterns) >= MAX_MODELS:
            del self._patterns[next(iter(self._patterns))]
        self._patterns[model] = _with_content(request, b"")


def _with_content(pattern: httpx2.Request, content: bytes) -> httpx2.Request:
    headers = pattern.headers.copy()
    headers["Content-Length"] = str(len(content))
    return httpx2.Request(
        pattern.method,
        pattern.url,
        headers=headers,
        stream=httpx2.ByteStream(content),
        extensions=dict(pattern.extensions),
    )
