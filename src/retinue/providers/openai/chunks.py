"""The chunks of a Chat Completions stream, as loosely as the servers out there fill them in.

Only what the adapter reads is declared; unknown fields are skipped without being built. A field is `Any` where some
server is known to send another type than OpenAI does.
"""

from typing import Any

import msgspec

from retinue.domain.usage import Usage
from retinue.providers.counts import count


class FunctionDelta(msgspec.Struct):
    name: Any = None
    arguments: Any = None
    """A fragment of JSON text, or, from some servers, the object itself."""


class ToolCallDelta(msgspec.Struct):
    index: Any = None
    id: Any = None
    function: FunctionDelta | None = None
    extra_content: Any = None
    """Gemini: carries the thought signature, which must be sent back with the call."""


class Delta(msgspec.Struct):
    content: Any = None
    """Text, or, from Mistral's reasoning models, a list of parts."""
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: Any = None
    """From old servers: the one call of an answer, or an empty object where there is none."""

    @property
    def calls(self) -> list[ToolCallDelta]:
        """The fragments of calls, in whichever form."""
        function = self.function_call
        if self.tool_calls or not isinstance(function, dict) or not any(function.values()):
            return self.tool_calls or []
        return [ToolCallDelta(index=0, function=FunctionDelta(function.get("name"), function.get("arguments")))]

    @property
    def is_plain(self) -> bool:
        """Whether its content is text, and there is nothing beside it."""
        beside = self.reasoning_content or self.reasoning or self.refusal or self.tool_calls or self.function_call
        return not beside and type(self.content) is str

    @property
    def is_telling(self) -> bool:
        """Whether it adds anything to the answer."""
        said = self.content or self.reasoning_content or self.reasoning or self.refusal
        return bool(said or self.calls)


class Choice(msgspec.Struct):
    delta: Delta | None = None
    message: Delta | None = None
    """What some servers send instead of `delta`, and others after all deltas: the whole answer again."""
    finish_reason: Any = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None
    code: Any = None
    type: Any = None

    @property
    def plain_text(self) -> str | None:
        """Where it holds a piece of text and nothing else, as nearly all do."""
        if not self.choices or self.usage is not None or self.error is not None:
            return None
        choice = self.choices[0]
        delta = choice.delta
        if delta is None or choice.finish_reason is not None or not delta.is_plain:
            return None
        return delta.content or None

    @property
    def is_bare_error(self) -> bool:
        """An error that is the chunk itself, as vLLM sends it and no SDK notices."""
        if self.choices:
            return False
        return self.object == "error" or self.type == "error" or self.message is not None or self.detail is not None


CHUNKS = msgspec.json.Decoder(Chunk)


def usage_of(raw: object) -> Usage | None:
    """The usage in a vendor's object; null if it holds no count at all."""
    if not isinstance(raw, dict):
        return None
    prompt = _details(raw, "prompt_tokens_details")
    completion = _details(raw, "completion_tokens_details")
    cached = _first(prompt.get("cached_tokens"), raw.get("prompt_cache_hit_tokens"))
    kept = count(prompt.get("cache_write_tokens"))
    usage = Usage(
        input_tokens=_with_all(count(raw.get("prompt_tokens")), (cached or 0) + (kept or 0)),
        cached_input_tokens=cached,
        cache_write_tokens=kept,
        output_tokens=count(raw.get("completion_tokens")),
        reasoning_tokens=count(completion.get("reasoning_tokens")),
    )
    return None if usage == Usage() else usage


def _with_all(prompt: int | None, parts: int) -> int | None:
    """The whole input. A prompt that is shorter than what was cached of it was counted without that."""
    return prompt + parts if prompt is not None and prompt < parts else prompt


def _first(*values: object) -> int | None:
    return next((number for value in values if (number := count(value)) is not None), None)


def _details(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}
