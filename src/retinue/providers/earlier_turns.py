"""Earlier turns in a form that a vendor takes back, although another one may have made them.

A run that waits goes on with whatever provider its tenant has by then. What is spelled anew here is so only on the
wire: the run knows its calls by the names and ids that came.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from retinue.domain.model_io import AssistantTurn, ReasoningBlock, ToolCall, ToolResult, ToolTurn, Turn

NAME_LENGTH = 64
ID_LENGTH = 40
_DIGEST_LENGTH = 16
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")


def producer_of(provider: str, base_url: str) -> str:
    """A word for whoever answers at an address: the same for the same, and telling nothing about it."""
    return _digest(f"{provider} {base_url}")


def turns_for(producer: str | None, turns: Iterable[Turn], *, fit_ids: re.Pattern[str]) -> Iterator[Turn]:
    """The turns as this producer takes them back.

    Of turns that others made it gets nothing that only those understand, and no order of parts but the usual one.
    Calls have names and ids that it accepts, a call and its result the same id, and two calls two. An id that it gave
    itself is not touched: some hide a signature in it.

    Args:
        fit_ids: what the vendor accepts as the id of a call.
    """
    ids: dict[str, str] = {}
    for turn in turns:
        match turn:
            case AssistantTurn():
                is_own = turn.producer is not None and turn.producer == producer
                ids |= {call.id: call.id if is_own else _spelled_id(call.id, fit_ids) for call in turn.tool_calls}
                known = turn if is_own or turn.producer is None else _of_another(turn)
                if not known.tool_calls:
                    yield known
                    continue
                yield msgspec.structs.replace(known, tool_calls=tuple(_spelled(call, ids) for call in known.tool_calls))
            case ToolTurn():
                yield ToolTurn(tuple(_answering(result, ids) for result in turn.results))
            case _:
                yield turn


def _of_another(turn: AssistantTurn) -> AssistantTurn:
    return msgspec.structs.replace(
        turn,
        reasoning=tuple(ReasoningBlock(text=block.text) for block in turn.reasoning if block.text),
        tool_calls=tuple(msgspec.structs.replace(call, extra={}) for call in turn.tool_calls),
        order=(),
    )


def _spelled(call: ToolCall, ids: Mapping[str, str]) -> ToolCall:
    return msgspec.structs.replace(call, id=ids[call.id], name=_spelled_name(call.name))


def _answering(result: ToolResult, ids: Mapping[str, str]) -> ToolResult:
    return msgspec.structs.replace(result, call_id=ids.get(result.call_id, result.call_id))


def _spelled_name(name: str) -> str:
    return _UNFIT.sub("_", name)[:NAME_LENGTH] or "unnamed"


def _spelled_id(call_id: str, fit_ids: re.Pattern[str]) -> str:
    if fit_ids.fullmatch(call_id):
        return call_id
    readable = _UNFIT.sub("_", call_id)[: ID_LENGTH - _DIGEST_LENGTH - 1]
    return f"{readable}_{_digest(call_id)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
