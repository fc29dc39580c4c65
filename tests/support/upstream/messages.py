"""Anthropic Messages: `POST /v1/messages`, streaming and not."""

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.support.upstream import chat
from tests.support.upstream import scenario as s
from tests.support.upstream.steps import Ask, Frame, Step, arguments_text, aside, count_tokens, frame, has_tools

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def steps(scenario: s.Scenario, ask: Ask) -> Iterator[Step]:
    """The stream of an answer."""
    return _Stream(scenario, ask).steps()


class _Stream:
    def __init__(self, scenario: s.Scenario, ask: Ask) -> None:
        self.scenario, self.ask = scenario, ask
        self.tokens = count_tokens(scenario, ask)
        self.blocks = 0
        self.open: dict[tuple[str, int | None], int] = {}
        """Open blocks: kind and, for tools, the scenario's own index → the block's index."""

    def steps(self) -> Iterator[Step]:
        if self.scenario.role_chunk:
            yield self.event("message_start", message=self.message())
        for piece in self.scenario.pieces:
            yield from self.piece(piece)
            if isinstance(piece, s.Error):
                return
        yield from self.close_all()
        if self.scenario.finish is not None:
            usage = {} if self.tokens is None else {"usage": usage_at_end(self.tokens)}
            yield self.event("message_delta", delta={"stop_reason": self.stop_reason, "stop_sequence": None}, **usage)
        if self.scenario.done:
            yield self.event("message_stop")

    @property
    def stop_reason(self) -> str | None:
        return stop_reason(self.scenario)

    def message(self) -> dict[str, Any]:
        usage = {} if self.tokens is None else usage_at_start(self.tokens)
        head = {"id": "msg_fake", "type": "message", "role": "assistant", "content": []}
        return head | {"model": self.ask.model, "stop_reason": None, "stop_sequence": None, "usage": usage}

    def piece(self, piece: s.AnyPiece) -> Iterator[Step]:
        match piece:
            case s.Pause() | s.Hold() | s.Stall() | s.Cut():
                yield piece
            case s.Raw() | s.Comment() | s.Chunk():
                yield aside(piece, self.scenario.newline)
            case s.Ping():
                yield self.event("ping")
            case s.Error():
                yield self.error(piece)
            case _:
                yield from self.content(piece)

    def content(self, piece: s.AnyPiece) -> Iterator[Step]:
        match piece:
            case s.Text() | s.Refusal():
                yield from self.open_block("text", {"type": "text", "text": ""})
                yield self.delta("text", {"type": "text_delta", "text": piece.text})
            case s.Reasoning():
                yield from self.open_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                yield self.delta("thinking", {"type": "thinking_delta", "thinking": piece.text})
            case s.Signature():
                yield from self.open_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                yield self.delta("thinking", {"type": "signature_delta", "signature": piece.signature})
                yield from self.close_all()
            case s.Redacted():
                yield from self.open_block("redacted", {"type": "redacted_thinking", "data": piece.data})
                yield from self.close_all()
            case s.Tool():
                yield from self.tool(piece)

    def tool(self, piece: s.Tool) -> Iterator[Step]:
        if piece.name is None and ("tool", piece.index) not in self.open:
            raise ValueError("Anthropic sends tool calls one after the other: this fragment belongs to no open block")
        if piece.name is not None:
            yield from self.close_all()
            block = {"type": "tool_use", "id": piece.id or "", "name": piece.name, "input": {}, **piece.extra}
            yield from self.open_block("tool", block, piece.index)
        delta = {"type": "input_json_delta", "partial_json": arguments_text(piece.arguments)}
        yield self.delta("tool", delta, piece.index)

    def open_block(self, kind: str, block: dict[str, Any], index: int | None = None) -> Iterator[Step]:
        if (kind, index) in self.open:
            return
        yield from self.close_all()
        self.open[kind, index] = self.blocks
        yield self.event("content_block_start", index=self.blocks, content_block=block)
        self.blocks += 1

    def close_all(self) -> Iterator[Step]:
        for number in self.open.values():
            yield self.event("content_block_stop", index=number)
        self.open.clear()

    def delta(self, kind: str, delta: dict[str, Any], index: int | None = None) -> Frame:
        return self.event("content_block_delta", index=self.open[kind, index], delta=delta)._replace(paced=True)

    def event(self, type_: str, **fields: Any) -> Frame:
        return frame({"type": type_, **fields}, self.scenario.newline, type_)

    def error(self, piece: s.Error) -> Frame:
        if piece.form in {"native", "anthropic"}:
            return self.event("error", error={"type": piece.type, "message": piece.message})
        [step] = (step for step in chat.steps(s.Scenario(pieces=(piece,), role_chunk=False), self.ask))
        assert isinstance(step, Frame)
        return step


def stop_reason(scenario: s.Scenario) -> str | None:
    if any(isinstance(piece, s.Refusal) for piece in scenario.pieces):
        return "refusal"
    if scenario.finish == "stop" and has_tools(scenario.pieces):
        return "tool_use"
    return None if scenario.finish is None else STOP_REASONS.get(scenario.finish, scenario.finish)


def usage_at_start(tokens: s.Tokens) -> dict[str, Any]:
    """Anthropic counts cached input beside the rest, so that the three have to be added."""
    cached, written = tokens.cached or 0, tokens.cache_write or 0
    usage = {"input_tokens": tokens.input - cached - written, "output_tokens": 1}
    if tokens.cached is not None:
        usage["cache_read_input_tokens"] = cached
    if tokens.cache_write is not None:
        usage["cache_creation_input_tokens"] = written
    return usage


def usage_at_end(tokens: s.Tokens) -> dict[str, Any]:
    usage: dict[str, Any] = {"output_tokens": tokens.output}
    if tokens.reasoning is not None:
        usage["output_tokens_details"] = {"thinking_tokens": tokens.reasoning}
    return usage


def message(scenario: s.Scenario, ask: Ask) -> dict[str, Any]:
    """The same answer without streaming."""
    tokens = count_tokens(scenario, ask)
    content: list[dict[str, Any]] = []
    thinking = "".join(p.text for p in scenario.pieces if isinstance(p, s.Reasoning))
    signature = "".join(p.signature for p in scenario.pieces if isinstance(p, s.Signature))
    if thinking or signature:
        content.append({"type": "thinking", "thinking": thinking, "signature": signature})
    content += [{"type": "redacted_thinking", "data": p.data} for p in scenario.pieces if isinstance(p, s.Redacted)]
    text = "".join(p.text for p in scenario.pieces if isinstance(p, s.Text | s.Refusal))
    if text:
        content.append({"type": "text", "text": text})
    content += [_whole_call(group) for group in chat.group_calls(scenario)]
    head = {"id": "msg_fake", "type": "message", "role": "assistant", "model": ask.model, "content": content}
    usage = {} if tokens is None else usage_at_start(tokens) | usage_at_end(tokens)
    return head | {"stop_reason": stop_reason(scenario), "stop_sequence": None, "usage": usage}


def _whole_call(group: list[s.Tool]) -> dict[str, Any]:
    text = "".join(arguments_text(piece.arguments) for piece in group)
    arguments = msgspec.json.decode(text) if text else {}
    return {"type": "tool_use", "id": group[0].id or "", "name": group[0].name or "", "input": arguments}


def error_body(status: int, type_: str | None) -> dict[str, Any]:
    word = type_ or ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": word, "message": "upstream secret detail"}, "request_id": "req_fake"}


def models(names: list[str]) -> dict[str, Any]:
    created = "2026-01-01T00:00:00Z"
    data = [{"type": "model", "id": name, "display_name": name, "created_at": created} for name in names]
    return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
