"""The script of an employee of the demo shop: it understands a few words and really uses the shop's tools."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from retinue.domain.model_io import (
    Finished,
    FinishReason,
    ModelRequest,
    ProviderEvent,
    ToolResult,
    ToolTurn,
    UserTurn,
)
from retinue.providers.scripted.speech import call, last_user_text, say, think

Args = dict[str, Any]

DEFAULT_PERCENT = 10

# Every repetition is bounded: a message may be 10,000 characters of anything.
_CLAUSES = re.compile(r"[,;!?\n]|\.(?!\s{0,3}#?\d)|\b(?:and|then|also)\b", re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,4})\s{0,3}(?:%|per ?cent\b)", re.IGNORECASE)
_DAYS = re.compile(r"(\d{1,4})\s{0,3}days?\b", re.IGNORECASE)
_ORDER = re.compile(
    r"(?:\border\s{0,3}|#)(?:no\.?|number)?\s{0,3}#?([A-Z0-9-]{0,20}\d[A-Z0-9-]{0,20})|\b(\d{4,20})\b", re.IGNORECASE
)

_INTRODUCTION = (
    "I am played by Retinue's scripted offline provider: no model is asked. I know a few words only, but what I do "
    "with them is real. Ask me where order 1042 is, to track it, to cancel order 1043, for a discount of 10% on an "
    "order, or for a coupon of 15%. Whatever changes something waits for a person's approval."
)
_BESIDES = frozenset({"carrier", "tracking_number", "expected_at"})
"""Fields of a result that its message does not tell."""


class _Intent(NamedTuple):
    words: re.Pattern[str]
    tool: str
    arguments: Callable[[str, str | None], Args | None]
    """What the clause asks for, given the order that is spoken of; None if that is not said."""


def _of_order(_: str, order: str | None) -> Args | None:
    return None if order is None else {"order_id": order}


def _discount(clause: str, order: str | None) -> Args | None:
    return None if order is None else {"order_id": order, "discount_percent": _percent(clause)}


def _coupon(clause: str, _: str | None) -> Args:
    days = _DAYS.search(clause)
    return {"discount_percent": _percent(clause)} | ({"expiry_days": int(days[1])} if days else {})


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# The first that fits a clause is meant.
_INTENTS = (
    _Intent(_words(r"\bcancel"), "cancel_order", _of_order),
    _Intent(_words(r"\b(?:coupon|voucher)"), "generate_coupon", _coupon),
    _Intent(_words(r"\bdiscount|%|\bper ?cent\b"), "apply_discount", _discount),
    _Intent(_words(r"\b(?:track|parcel|shipment|deliver)"), "get_tracking_info", _of_order),
    _Intent(_words(r"\b(?:order|status|where)\b"), "get_order_status", _of_order),
)


def shop(request: ModelRequest) -> Iterator[ProviderEvent]:
    """Calls the tools that the last message asks for, in its order, then tells what became of them."""
    yield from think(request)
    last = request.turns[-1] if request.turns else None
    if isinstance(last, ToolTurn):
        yield from say(" ".join(map(_report, last.results)))
        yield Finished(FinishReason.STOP)
        return
    calls, obstacles = _understand(request)
    if obstacles or not calls:
        yield from say(" ".join(obstacles) or _INTRODUCTION)
    yield from call(request, calls)
    yield Finished(FinishReason.TOOL_CALLS if calls else FinishReason.STOP)


def _understand(request: ModelRequest) -> tuple[list[tuple[str, Args]], list[str]]:
    """The calls to make, and why others that were asked for are not made."""
    calls: list[tuple[str, Args]] = []
    said: list[str] = []
    offered = {tool.name for tool in request.tools}
    order = _order_before(request)
    for clause in filter(str.strip, _CLAUSES.split(last_user_text(request))):
        order = _order(clause) or order
        intent = next((intent for intent in _INTENTS if intent.words.search(clause)), None)
        if intent is None:
            continue
        args = intent.arguments(clause, order)
        if intent.tool not in offered:
            said.append(f"I have not been given the tool {intent.tool}.")
        elif args is None:
            said.append("Which order do you mean? Name its number, such as 1042.")
        elif (intent.tool, args) not in calls:
            calls.append((intent.tool, args))
    return calls, list(dict.fromkeys(said))


def _order_before(request: ModelRequest) -> str | None:
    """The order that was spoken of last, before the last message."""
    earlier = [turn.content for turn in request.turns if isinstance(turn, UserTurn)][:-1]
    return next((order for order in map(_order, reversed(earlier)) if order), None)


def _order(text: str) -> str | None:
    """The last order that the text names."""
    found = _ORDER.findall(_DAYS.sub("", _PERCENT.sub("", text)))
    return (found[-1][0] or found[-1][1]) if found else None


def _percent(clause: str) -> int:
    found = _PERCENT.search(clause)
    return int(found[1]) if found else DEFAULT_PERCENT


def _report(result: ToolResult) -> str:
    if result.is_error:
        return f"{result.name} was not done: {result.content}"
    try:
        answer = msgspec.json.decode(result.content)
    except msgspec.DecodeError:
        answer = None
    if not isinstance(answer, dict):
        return f"{result.name} says: {result.content}"
    message = answer.get("message")
    told = {name: value for name, value in answer.items() if value is not None and (not message or name in _BESIDES)}
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())
    if not message:
        return f"{result.name} says: {facts}."
    return f"{message} ({facts})" if facts else str(message)
