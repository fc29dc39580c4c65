"""Puts tool calls together from fragments that no two servers cut alike."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from retinue.domain.ids import new_id
from retinue.domain.model_io import ProviderEvent, ToolCallEnded, ToolCallPiece, ToolCallStarted
from retinue.domain.text import clean
from retinue.providers.json_text import TextJoiner, text_of, whole_object
from retinue.providers.openai.chunks import ToolCallDelta


class _Call:
    def __init__(self, vendor_id: str, own_id: str) -> None:
        self.vendor_id = vendor_id
        self.id = own_id
        self.name = ""
        self.is_started = False
        self.arguments: list[str] = []
        self.extra: dict[str, Any] = {}
        self.joiner = TextJoiner()


class ToolCallAssembler:
    """Assigns fragments to calls: by index, by id, by a new function's name, else to the last call.

    A call gets a new id where the vendor sent none or one that is taken, in this stream or in the conversation.
    """

    __slots__ = ("_by_index", "_calls", "_producer", "_taken")

    def __init__(self, taken_ids: Iterable[str] = (), producer: str | None = None) -> None:
        self._producer = producer
        self._taken = dict.fromkeys(taken_ids)  # of most streams empty, and then a third of a set
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def is_empty(self) -> bool:
        return not self._calls

    def take(self, fragment: ToolCallDelta) -> Iterator[ProviderEvent]:
        """What a fragment adds."""
        function = fragment.function
        name = _word(function.name) if function is not None else ""
        text = _text(function.arguments) if function is not None else ""
        call = self._find(fragment, name, text)
        if isinstance(fragment.extra_content, dict) and _can_be_sent(fragment.extra_content):
            call.extra["extra_content"] = fragment.extra_content
        text = call.joiner.push(text)
        if text:
            call.arguments.append(text)
        if not call.is_started and name:
            call.name = name
            call.is_started = True
            yield ToolCallStarted(id=call.id, name=name)
            text = "".join(call.arguments)
        if call.is_started and text:
            yield ToolCallPiece(id=call.id, fragment=text)

    def end(self) -> Iterator[ProviderEvent]:
        """Close all calls, in the order in which they began. One that never got a name is closed without one."""
        for call in self._calls:
            if not call.is_started:
                yield ToolCallStarted(id=call.id, name="")
                if call.arguments:
                    yield ToolCallPiece(id=call.id, fragment="".join(call.arguments))
            rest = call.joiner.flush()
            if rest:
                yield ToolCallPiece(id=call.id, fragment=rest)
            yield ToolCallEnded(id=call.id, extra=call.extra, producer=self._producer)

    def _find(self, fragment: ToolCallDelta, name: str, text: str) -> _Call:
        vendor_id = _word(fragment.id)
        index = fragment.index if isinstance(fragment.index, int) else None
        if index is not None:
            call = self._by_index.get(index)
            if call is None or _is_another(call, vendor_id, name, text):
                call = self._by_index[index] = self._open(vendor_id)
            return call
        if vendor_id:
            for call in reversed(self._calls):
                if call.vendor_id == vendor_id:
                    return self._open(vendor_id) if _begins_another(call, name, text) else call
        if name or not self._calls:
            return self._open(vendor_id)
        return self._calls[-1]

    def _open(self, vendor_id: str) -> _Call:
        own_id = vendor_id if vendor_id and vendor_id not in self._taken else f"call_{new_id().hex}"
        self._taken[own_id] = None
        call = _Call(vendor_id, own_id)
        self._calls.append(call)
        return call


def _is_another(call: _Call, vendor_id: str, name: str, text: str) -> bool:
    """Whether a fragment at a call's index begins another call: some servers give every call the index 0."""
    if vendor_id and call.vendor_id:
        return vendor_id != call.vendor_id
    return _begins_another(call, name, text)


def _begins_another(call: _Call, name: str, text: str) -> bool:
    """Whether a fragment names a function although the call has one, and cannot go on with its arguments."""
    if not name or not call.name:
        return False
    if name != call.name:
        return True
    # Parsing comes last: servers that repeat the name with every fragment would have the arguments parsed as often.
    return text.lstrip().startswith("{") and bool(call.arguments) and whole_object("".join(call.arguments)) is not None


def _word(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def _text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return text_of(arguments) if isinstance(arguments, dict) else ""


def _can_be_sent(value: dict[str, Any]) -> bool:
    """Not so with half of a surrogate pair in it; cleaned, a signature would be worth nothing."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True
