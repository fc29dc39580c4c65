"""Which words of a command are programs that it calls, as far as one can see."""

import os
import re

from retinue.tools.workspace.commands.names import names
from retinue.tools.workspace.commands.syntax import Script, rough_words

TRANSPARENT = frozenset({"command", "builtin", "exec", "env"})
"""They add nothing to the command after them, if they come without options."""
_WRAPPERS = TRANSPARENT | frozenset(
    names(
        """
        nohup nice ionice timeout stdbuf setsid time xargs watch busybox chrt then do else ! -exec -execdir -ok
        """
    )
)
_SUBSTITUTION = re.compile(r"\$\(|`")


def name_of(word: str) -> str:
    return os.path.basename(word)


def called(words: tuple[str, ...]) -> list[int]:
    """The places of the programs among words and operators: at the start, after an operator, after a wrapper."""
    found = []
    is_called = True
    for place, word in enumerate(words):
        is_operator = not any(char.isalnum() for char in word)
        if is_called and not is_operator:
            found.append(place)
        # After a wrapper come its own options and values, then the command.
        is_called = is_operator or name_of(word) in _WRAPPERS or (is_called and _belongs_to_wrapper(word))
    return found


def readings(script: Script) -> list[tuple[str, ...]]:
    """The words of a script; a second time without double quotes, if something in them may be run."""
    if not _SUBSTITUTION.search(script.text):
        return [script.words]
    return [script.words, rough_words(script.text.replace('"', " "))]


def _belongs_to_wrapper(word: str) -> bool:
    return word.startswith("-") or "=" in word or word[:1].isdigit()
