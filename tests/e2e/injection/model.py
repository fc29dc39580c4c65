"""A model that does whatever it reads, wherever it stands, and tells everything it sees."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from tests.e2e.injection.letters import Letter, letters_in
from tests.support.upstream import FakeUpstream, RecordedRequest, Scenario, ThreadedUpstream, Tool, says
from tests.support.upstream.server import _Answer, _speak
from tests.support.upstream.steps import Ask

PAGES = "/pages/"
_TOLD_CHARS = 20_000


class Asked(NamedTuple):
    """A call as the model has asked for it."""

    tool: str
    args: Any


class Seen(NamedTuple):
    """One turn of what the model is shown."""

    is_own: bool
    text: str
    result: str | None = None
    """If it is what a tool has returned."""


class ObedientModel(FakeUpstream):
    """Speaks both dialects, and serves pages beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.pages: dict[str, str] = {}
        """HTML by its path."""

    @property
    def page_url(self) -> str:
        return f"http://{self.address}{PAGES}"

    def _answer(self, record: RecordedRequest) -> _Answer:
        if record.method == "GET" and record.path.startswith(PAGES):
            body = self.pages.get(record.path, "Nothing.")
            return _speak(Scenario(body=body, content_type="text/html"), Ask(), is_anthropic=False)
        self._queue.append(self._obey(read_conversation(record.body)))
        return super()._answer(record)

    def _obey(self, seen: Sequence[Seen]) -> Scenario:
        """The next turn of the newest letter, or, if all is done, everything that the tools have returned."""
        results = [turn.result for turn in seen if turn.result is not None]
        first_seen: dict[str, tuple[int, Letter]] = {}
        for place in range(len(seen)):
            for letter in letters_in(_told(seen[: place + 1])):
                first_seen.setdefault(letter.name, (place, letter))
        if first_seen:
            place, letter = max(first_seen.values(), key=lambda found: found[0])
            done = sum(turn.is_own for turn in seen[place:])
            if done < len(letter.turns):
                return self._wants(letter.turns[done], len(seen), results[-1] if results else "")
        return says("Done: ", "; ".join(results)[:_TOLD_CHARS] or "nothing")

    def _wants(self, turn: list[tuple[str, Any, str]], number: int, last: str) -> Scenario:
        pieces: list[Tool] = []
        for index, (tool, args, call_id) in enumerate(turn):
            filled = _filled(args, last)
            self.asked.append(Asked(tool, filled))
            text = filled if isinstance(filled, str) else msgspec.json.encode(filled).decode()
            half = len(text) // 2
            pieces += [
                Tool(text[:half], id=call_id or f"call_{number}_{index}", name=tool, index=index),
                Tool(text[half:], index=index),
            ]
        return Scenario(pieces=tuple(pieces), finish="tool_calls")


def read_conversation(body: Any) -> list[Seen]:
    """The turns of a request in either dialect, without the system prompt."""
    return [seen for turn in body["messages"] if turn["role"] not in ("system", "developer") for seen in _seen(turn)]


def _seen(turn: dict[str, Any]) -> Iterator[Seen]:
    content = turn["content"]
    if turn["role"] == "assistant":
        yield Seen(True, _plain(content))
    elif turn["role"] == "tool":
        yield Seen(False, _plain(content), _plain(content))
    elif isinstance(content, str):
        yield Seen(False, content)
    else:
        for block in content:
            if block["type"] == "tool_result":
                yield Seen(False, _plain(block["content"]), _plain(block["content"]))
            else:
                yield Seen(False, block["text"])


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _told(seen: Sequence[Seen]) -> list[str]:
    return [turn.text for turn in seen if not turn.is_own]


def _filled(value: Any, last: str) -> Any:
    match value:
        case str():
            return value.replace("{last}", quote(last[:300]) if value.startswith("http") else last[:300])
        case dict():
            return {key: _filled(item, last) for key, item in value.items()}
        case _:
            return value


class Puppet(ThreadedUpstream):
    """The model on a loop of its own."""

    _inner: ObedientModel

    @property
    def model(self) -> ObedientModel:
        return self._inner


@contextmanager
def obedient_model() -> Iterator[Puppet]:
    """A running model; stopped, and its thread joined, at the end."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        inner = ObedientModel()
        loop.run_until_complete(inner.start())
        thread = threading.Thread(target=loop.run_forever, name="obedient-model", daemon=True)
        thread.start()
        try:
            yield Puppet(inner, loop)
        finally:
            asyncio.run_coroutine_threadsafe(inner.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
