"""What the fake upstream does with one request, as data.

A scenario is written in the words of what goes wrong or right, in no vendor's form; the dialects translate it. Pieces
are played in order; everything beside them has a default that looks like a healthy provider.

    Scenario(pieces=(Text("Hel"), Text("lo"), Cut("rst")))
    tokens(200, between=0.02)
    refusal(429, retry_after="2")

The same as JSON, for use by hand: `{"pieces": [{"do": "text", "text": "Hello"}, {"do": "cut", "how": "rst"}]}`.
"""

from typing import Any, Literal

import msgspec


class Piece(msgspec.Struct, frozen=True, tag_field="do", tag=str.lower, forbid_unknown_fields=True):
    """One thing that happens in a stream."""


class Text(Piece, frozen=True):
    text: str


class Reasoning(Piece, frozen=True):
    text: str
    field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    """Where an OpenAI-compatible server puts it."""


class Signature(Piece, frozen=True):
    """Anthropic only: signs and closes the thinking block."""

    signature: str


class Redacted(Piece, frozen=True):
    """Anthropic only: a whole redacted thinking block."""

    data: str


class Tool(Piece, frozen=True):
    """A fragment of a tool call, as an OpenAI-compatible server would send it.

    In the Anthropic dialect a fragment with a name opens a block, one without goes to the block that has its index.
    """

    arguments: str | dict[str, Any] = ""
    id: str | None = None
    name: str | None = None
    index: int | None = 0
    """None leaves the index out."""
    extra: dict[str, Any] = {}
    """Further fields of the call, such as `extra_content`."""


class Refusal(Piece, frozen=True):
    """Text in `delta.refusal`; plain text in the Anthropic dialect."""

    text: str


class Comment(Piece, frozen=True):
    """A keep-alive comment line."""

    text: str = "keep-alive"


class Ping(Piece, frozen=True):
    """Anthropic's `ping` event; a comment in the OpenAI dialect."""


class Chunk(Piece, frozen=True):
    """Any JSON, as one frame of its own."""

    body: Any
    event: str | None = None


class Raw(Piece, frozen=True):
    """Bytes as they are, without framing. `data` is base64 in JSON."""

    text: str = ""
    data: bytes = b""


class Error(Piece, frozen=True):
    """An error after the stream began, in one of the documented forms, after which the stream ends cleanly.

    `openai`: `{"error": {…}}`. `openrouter`: a chunk with a top-level error and `finish_reason: "error"`. `vllm`:
    `{"object": "error", …}`. `anthropic`: `event: error`. `native` takes the form of the dialect that is spoken.
    """

    form: Literal["native", "openai", "openrouter", "vllm", "anthropic"] = "native"
    type: str = "overloaded_error"
    code: str | int | None = None
    message: str = "upstream secret detail"


class Pause(Piece, frozen=True):
    seconds: float


class Hold(Piece, frozen=True):
    """Nothing more happens until the test calls `release` with this name."""

    name: str = "hold"


class Stall(Piece, frozen=True):
    """Nothing more happens until the client closes."""


class Cut(Piece, frozen=True):
    """The connection ends here.

    `rst` resets it, `fin` closes it without the terminating chunk, `clean` ends the body properly but says nothing of
    completion.
    """

    how: Literal["rst", "fin", "clean"] = "rst"
    mid_frame: bool = False
    """Sends half of the next frame first, inside a chunk that announced all of it."""


AnyPiece = (
    Text
    | Reasoning
    | Signature
    | Redacted
    | Tool
    | Refusal
    | Comment
    | Ping
    | Chunk
    | Raw
    | Error
    | Pause
    | Hold
    | Stall
    | Cut
)


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Token counts; `input` includes `cached` and `cache_write`, `output` includes `reasoning`."""

    input: int = 10
    output: int = 5
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of the fake upstream. Delays are in seconds."""

    pieces: tuple[AnyPiece, ...] = ()

    finish: str | None = "stop"
    """`stop`, `length`, `tool_calls` are translated for Anthropic, other words go out as they are; None sends none."""
    finish_with_last: bool = False
    """The finish reason shares the chunk of the last piece (vLLM)."""
    done: bool = True
    """False leaves out `[DONE]` or `message_stop`."""
    role_chunk: bool = True
    """The empty first delta that names the role."""
    azure_preamble: bool = False
    """A first chunk without choices, with an empty id and model, as Azure sends it."""

    usage: Tokens | Literal["auto"] | None = "auto"
    """`auto` counts a token per piece and an input token per word."""
    usage_on: Literal["if_asked", "last", "every_chunk"] = "if_asked"
    """Chat completions only: in a last chunk with empty choices if `stream_options` asks, always, or on all chunks."""

    before_headers: float = 0
    before_first: float = 0
    between: float = 0

    status: int = 200
    error_type: str | None = None
    error_code: str | int | None = None
    body: str | None = None
    """Sent verbatim instead of anything else, with the given status."""
    content_type: str | None = None
    headers: dict[str, str] = {}

    newline: Literal["\n", "\r\n"] = "\n"
    split: int | None = None
    """Every so many bytes become a chunk and a write of their own; 1 drips."""
    framing: Literal["chunked", "close"] = "chunked"
    """`close`: the body ends where the connection ends."""

    def cut(self, after: int, how: Literal["rst", "fin", "clean"] = "rst", *, mid_frame: bool = False) -> "Scenario":
        """The same, but the connection ends after so many pieces."""
        kept, rest = self.pieces[:after], self.pieces[after:]
        return msgspec.structs.replace(self, pieces=(*kept, Cut(how, mid_frame), *rest))

    def stall(self, after: int) -> "Scenario":
        """The same, but nothing comes after so many pieces."""
        return msgspec.structs.replace(self, pieces=(*self.pieces[:after], Stall()))

    def hold(self, after: int, name: str = "hold") -> "Scenario":
        """The same, but it waits for `release` after so many pieces."""
        return msgspec.structs.replace(self, pieces=(*self.pieces[:after], Hold(name), *self.pieces[after:]))

    def with_(self, **changes: Any) -> "Scenario":
        """The same with other fields."""
        return msgspec.structs.replace(self, **changes)

    @property
    def text(self) -> str:
        """The answer's text, as far as the pieces say it."""
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Text))


def says(*texts: str, **fields: Any) -> Scenario:
    """An answer of the given pieces of text."""
    return Scenario(pieces=tuple(Text(text) for text in texts), **fields)


def tokens(count: int, *, between: float = 0, **fields: Any) -> Scenario:
    """An answer of so many words, each with its number: ` w1 w2 …`."""
    return says(*(f" w{number}" for number in range(1, count + 1)), between=between, **fields)


def calls(
    name: str,
    *fragments: str,
    id: str | None = "call_1",  # noqa: A002
    index: int | None = 0,
    **fields: Any,
) -> Scenario:
    """An answer that calls one tool, its arguments in the given fragments."""
    rest = tuple(Tool(fragment, index=index) for fragment in fragments[1:])
    first = Tool(fragments[0] if fragments else "", id=id, name=name, index=index)
    return Scenario(pieces=(first, *rest), finish="tool_calls", **fields)


def refusal(status: int, *, retry_after: str | None = None, **fields: Any) -> Scenario:
    """An HTTP error before the stream, with the dialect's own error body unless `body` is given."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Scenario(status=status, headers=headers | fields.pop("headers", {}), **fields)
