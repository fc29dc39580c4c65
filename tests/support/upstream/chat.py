"""OpenAI Chat Completions: `POST /v1/chat/completions`, streaming and not."""

from collections.abc import Iterator
from typing import Any

from tests.support.upstream import scenario as s
from tests.support.upstream.steps import PACED, Ask, Frame, Step, arguments_text, aside, count_tokens, frame

ERROR_WORDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
"""Status → type and code of the error body."""

AZURE_PREAMBLE: dict[str, Any] = {"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": []}


def steps(scenario: s.Scenario, ask: Ask) -> Iterator[Step]:
    """The stream of an answer."""
    return _Stream(scenario, ask).steps()


class _Stream:
    def __init__(self, scenario: s.Scenario, ask: Ask) -> None:
        self.scenario, self.ask = scenario, ask
        self.head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": ask.model}
        tokens = count_tokens(scenario, ask)
        self.usage = None if tokens is None else usage_of(tokens)

    def steps(self) -> Iterator[Step]:
        if self.scenario.azure_preamble:
            yield self.frame(self.head | AZURE_PREAMBLE)
        if self.scenario.role_chunk:
            yield self.chunk({"role": "assistant", "content": ""})
        last = len(self.scenario.pieces) - 1
        for number, piece in enumerate(self.scenario.pieces):
            finish = self.scenario.finish if self.scenario.finish_with_last and number == last else None
            yield self.step(piece, finish)
            if isinstance(piece, s.Error):
                return
        yield from self.ending()

    def ending(self) -> Iterator[Step]:
        if self.scenario.finish is not None and not self.scenario.finish_with_last:
            yield self.chunk({}, self.scenario.finish)
        usage_on = self.scenario.usage_on
        if self.usage is not None and (usage_on == "last" or (usage_on == "if_asked" and self.ask.include_usage)):
            yield self.frame(self.head | {"choices": [], "usage": self.usage})
        if self.scenario.done:
            yield Frame(f"data: [DONE]{self.scenario.newline * 2}".encode())

    def step(self, piece: s.AnyPiece, finish: str | None) -> Step:
        match piece:
            case s.Pause() | s.Hold() | s.Stall() | s.Cut():
                return piece
            case s.Raw() | s.Comment() | s.Ping() | s.Chunk():
                return aside(piece, self.scenario.newline)
            case s.Error():
                return self.error(piece)
            case _:
                return self.chunk(delta_of(piece), finish, paced=isinstance(piece, PACED))

    def chunk(self, delta: dict[str, Any], finish: str | None = None, *, paced: bool = False) -> Frame:
        body: dict[str, Any] = self.head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        if self.scenario.usage_on == "every_chunk":
            body["usage"] = self.usage
        return self.frame(body, paced=paced)

    def frame(self, body: object, event: str | None = None, *, paced: bool = False) -> Frame:
        return frame(body, self.scenario.newline, event, paced=paced)

    def error(self, piece: s.Error) -> Frame:
        error = {"message": piece.message, "type": piece.type, "param": None, "code": piece.code}
        match piece.form:
            case "anthropic":
                return self.frame({"type": "error", "error": error}, "error")
            case "vllm":
                return self.frame({"object": "error", "message": piece.message, "type": piece.type, "code": piece.code})
            case "openrouter":
                choices = [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
                failure: dict[str, Any] = {"code": piece.code or 502, "message": piece.message, "metadata": {}}
                return self.frame(self.head | {"error": failure, "choices": choices})
            case _:
                return self.frame({"error": error})


def delta_of(piece: s.AnyPiece) -> dict[str, Any]:
    match piece:
        case s.Text():
            return {"content": piece.text}
        case s.Reasoning():
            return {"content": None, piece.field: piece.text}
        case s.Refusal():
            return {"refusal": piece.text}
        case s.Tool():
            return {"tool_calls": [_fragment(piece)]}
        case _:
            return {}


def _fragment(piece: s.Tool) -> dict[str, Any]:
    call: dict[str, Any] = {"function": {"arguments": piece.arguments}, **piece.extra}
    if piece.name is not None:
        call["function"]["name"] = piece.name
        call["type"] = "function"
    if piece.id is not None:
        call["id"] = piece.id
    if piece.index is not None:
        call["index"] = piece.index
    return call


def usage_of(tokens: s.Tokens) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }
    prompt = {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.cache_write}
    details = {name: value for name, value in prompt.items() if value is not None}
    if details:
        usage["prompt_tokens_details"] = details
    if tokens.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
    return usage


def completion(scenario: s.Scenario, ask: Ask) -> dict[str, Any]:
    """The same answer without streaming."""
    tokens = count_tokens(scenario, ask)
    message: dict[str, Any] = {"role": "assistant", "content": scenario.text or None}
    reasoning = "".join(p.text for p in scenario.pieces if isinstance(p, s.Reasoning))
    if reasoning:
        message["reasoning_content"] = reasoning
    refusal = "".join(p.text for p in scenario.pieces if isinstance(p, s.Refusal))
    if refusal:
        message["refusal"] = refusal
    calls = [_whole_call(group) for group in group_calls(scenario)]
    if calls:
        message["tool_calls"] = calls
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1,
        "model": ask.model,
        "choices": [{"index": 0, "message": message, "finish_reason": scenario.finish}],
        "usage": None if tokens is None else usage_of(tokens),
    }


def group_calls(scenario: s.Scenario) -> list[list[s.Tool]]:
    """The fragments of each call, in order of arrival: a name opens one, the index finds it again."""
    groups: list[list[s.Tool]] = []
    for piece in scenario.pieces:
        if not isinstance(piece, s.Tool):
            continue
        mine = [group for group in groups if group[0].index == piece.index]
        if piece.name is not None or not mine:
            groups.append([piece])
        else:
            mine[-1].append(piece)
    return groups


def _whole_call(group: list[s.Tool]) -> dict[str, Any]:
    arguments = "".join(arguments_text(piece.arguments) for piece in group)
    function = {"name": group[0].name or "", "arguments": arguments}
    return {"id": group[0].id or "", "type": "function", "function": function, **group[0].extra}


def error_body(status: int, type_: str | None, code: str | int | None) -> dict[str, Any]:
    word, default = ERROR_WORDS.get(status, ("server_error", None))
    code = default if code is None else code
    return {"error": {"message": "upstream secret detail", "type": type_ or word, "param": None, "code": code}}


def models(names: list[str]) -> dict[str, Any]:
    data = [{"id": name, "object": "model", "created": 1, "owned_by": "fake"} for name in names]
    return {"object": "list", "data": data}
