"""Programs that a command hands to another shell."""

from collections.abc import Iterable, Iterator

from retinue.tools.workspace.commands.calls import name_of
from retinue.tools.workspace.commands.dangers import danger
from retinue.tools.workspace.commands.privileged import ONLY_PLAIN, raises_in
from retinue.tools.workspace.commands.programs import SHELLS
from retinue.tools.workspace.commands.syntax import Script, rough_words

MAX_DEPTH = 4
"""Of shells inside shells."""
MAX_PROGRAMS = 50
"""Of more than one word, in one command. What hands on more is not meant to be read."""


def nested_danger(words: tuple[str, ...]) -> str | None:
    """Why what is handed to another shell may not run; null if nothing speaks against it.

    Every text is looked at once, however often it stands there: a word can be a shell, and the argument of every shell
    before it, so that looking from each shell on would multiply the work on each level.
    """
    seen: set[str] = set()
    programs = 0
    level = [words]
    for depth in range(MAX_DEPTH + 1):
        deeper = []
        for text in _new(level, seen):
            inner = rough_words(text)
            why = danger(text, inner)
            if why is None and (depth == MAX_DEPTH or raises_in(Script(text, inner))):
                why = ONLY_PLAIN
            if len(inner) > 1:
                programs += 1
                deeper.append(inner)
            if why or programs > MAX_PROGRAMS:
                return why or ONLY_PLAIN
        level = deeper
    return None


def _new(level: Iterable[tuple[str, ...]], seen: set[str]) -> Iterator[str]:
    for words in level:
        for text in _handed_on(words):
            if text not in seen:
                seen.add(text)
                yield text


def _handed_on(words: tuple[str, ...]) -> tuple[str, ...]:
    """All that comes after the first shell, since any of it may be what that shell, or a later one, is to run."""
    for place, word in enumerate(words):
        if word == "eval" or name_of(word) in SHELLS:
            return words[place + 1 :]
    return ()
