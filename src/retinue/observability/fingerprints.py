"""Texts that are found again without being kept."""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from secrets import token_bytes
from typing import NamedTuple, TypeVar

K = TypeVar("K")

MIN_CHARS = 8
"""Of a text that can be found."""
_STEP = 4
"""Of so many places of a text one is looked at, as long as nothing known is near it."""
_WINDOW = MIN_CHARS - _STEP + 1
"""What is looked at there. Wherever a known text stands, one such window lies in its first `MIN_CHARS` characters."""


class Fingerprint(NamedTuple):
    """One text, as far as it is kept."""

    traces: tuple[int, ...]
    """Of its first windows, one for each place at which it may stand."""
    beginning: int
    length: int
    digest: bytes


class Fingerprints:
    """What is compared are digests under a key of this object's own. The cost of a search grows with the text, not with
    the number of those known.
    """

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._traces: Counter[int] = Counter()
        self._known: dict[int, dict[int, Counter[bytes]]] = {}

    def digest(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def of(self, text: str) -> Fingerprint:
        """Python's own hash, of which a part of this is made, is keyed anew in every process."""
        traces = (hash(tuple(text[place : place + _WINDOW])) for place in range(_STEP))
        return Fingerprint(tuple(traces), hash(text[:MIN_CHARS]), len(text), self.digest(text))

    def add(self, prints: Iterable[Fingerprint]) -> None:
        """As often as a text is added it has to be taken out again."""
        for each in prints:
            self._traces.update(each.traces)
            self._known.setdefault(each.beginning, {}).setdefault(each.length, Counter())[each.digest] += 1

    def discard(self, prints: Iterable[Fingerprint]) -> None:
        for each in prints:
            lengths = self._known[each.beginning]
            _take(self._traces, *each.traces)
            _take(lengths[each.length], each.digest)
            if not lengths[each.length]:
                del lengths[each.length]
            if not lengths:
                del self._known[each.beginning]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where known texts stand: of those that begin at one place the longest, and none inside another."""
        if self._is_free(text):
            return
        position, last, known = 0, len(text) - MIN_CHARS, self._known
        while position <= last:
            if hash(text[position : position + MIN_CHARS]) in known and (found := self._longest(text, position)):
                yield position, position + found
                position += found
            else:
                position += 1

    def _is_free(self, text: str) -> bool:
        """Whether certainly nothing known is there: what most texts are asked, and a loop of the interpreter's own."""
        windows = zip(*(text[place::_STEP] for place in range(_WINDOW)), strict=False)
        return self._traces.keys().isdisjoint(map(hash, windows))

    def _longest(self, text: str, position: int) -> int:
        lengths = self._known[hash(text[position : position + MIN_CHARS])]
        return max(
            (n for n, digests in lengths.items() if self.digest(text[position : position + n]) in digests), default=0
        )


def _take(counter: Counter[K], *keys: K) -> None:
    for key in keys:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
