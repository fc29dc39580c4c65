"""The provider and its models."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from retinue.domain.errors import FieldError, InvalidRequest, ProviderOverloaded, ProviderRefused
from retinue.domain.model_io import (
    Capabilities,
    Finished,
    FinishReason,
    ModelRequest,
    ProviderEvent,
    ReasoningPiece,
    UsageReported,
)
from retinue.domain.usage import Usage
from retinue.providers.base import Provider, ProviderConfig, ProviderOptions, Sink
from retinue.providers.scripted import scripts
from retinue.providers.scripted.shop import shop
from retinue.providers.scripted.words import count_input, count_output

Sleep = Callable[[float], Awaitable[None]]

DEFAULT_MODEL = "scripted-demo"


class Model(NamedTuple):
    script: Callable[[ModelRequest], Iterator[ProviderEvent]]
    first: float
    """Seconds before the first piece."""
    between: float
    """Seconds between pieces."""


MODELS: dict[str, Model] = {
    "scripted-demo": Model(scripts.demo, 0.02, 0.02),
    "scripted-echo": Model(scripts.echo, 0, 0),
    "scripted-slow": Model(scripts.demo, 1.0, 0.25),
    "scripted-fail": Model(scripts.fail, 0, 0),
    "scripted-cut": Model(scripts.cut, 0.02, 0.02),
    "scripted-tools": Model(scripts.tools, 0.02, 0.02),
    "scripted-shop": Model(shop, 0.02, 0.02),
}


class ScriptedProvider(Provider):
    """Plays a script. Closing or cancelling the stream ends it at once: there is no socket behind it.

    Like a real provider it stops at `max_output_tokens`, with `FinishReason.LENGTH`.

    Raises, besides what a script raises on purpose:
        ProviderRefused: there is no scripted model of that name.
    """

    name: ClassVar[str] = "scripted"

    def __init__(self, config: ProviderConfig, *, sleep: Sleep = asyncio.sleep) -> None:
        self._config = config
        self._sleep = sleep

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(streams_reasoning=True, calls_tools=True, reports_usage=True, is_scripted=True)

    async def stream(
        self,
        request: ModelRequest,
        sink: Sink | None = None,  # noqa: ARG002 - each word waits for the one before it
    ) -> AsyncGenerator[Sequence[ProviderEvent], None]:
        model = _find(request.model)
        reason, said, thought = FinishReason.LENGTH, 0, 0
        delay = model.first
        for event in model.script(request):
            if isinstance(event, Finished):
                reason = event.reason
                break
            words = count_output(event)
            if said + thought + words > request.max_output_tokens:
                break
            if isinstance(event, ReasoningPiece):
                thought += words
            else:
                said += words
            await self._sleep(delay)
            delay = model.between
            yield (event,)
        usage = Usage(input_tokens=count_input(request), output_tokens=said + thought, reasoning_tokens=thought)
        yield UsageReported(usage), Finished(reason)

    async def check(self, request: ModelRequest) -> None:
        if _find(request.model).script is scripts.fail:
            raise ProviderOverloaded("The model scripted-fail is always overloaded.")


class ScriptedFactory:
    """How the registry makes scripted providers."""

    needs_key: ClassVar[bool] = False

    def validate(self, config: ProviderConfig) -> None:
        """Refuse what would be silently ignored.

        Raises:
            InvalidRequest: a key, an address or an option was given.
        """
        given = {
            "/llm_api_key": config.api_key is not None,
            "/llm_base_url": config.base_url is not None,
            "/options": config.options != ProviderOptions(),
        }
        errors = tuple(
            FieldError(pointer=pointer, detail="This means nothing to the scripted provider; leave it out.")
            for pointer, is_given in given.items()
            if is_given
        )
        if errors:
            raise InvalidRequest("The scripted provider takes nothing but a model name.", errors=errors)

    def forget(self) -> None:
        """There is nothing to forget."""

    def open(self, config: ProviderConfig) -> ScriptedProvider:
        return ScriptedProvider(config)


def _find(name: str) -> Model:
    try:
        return MODELS[name]
    except KeyError:
        raise ProviderRefused(f"The scripted provider has these models: {', '.join(MODELS)}.") from None
