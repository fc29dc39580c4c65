"""Words that could be paths although nothing says that they are. Knows no program, so that no table can mislead it."""

from collections.abc import Iterable, Iterator


def doubts(words: Iterable[str], paths: Iterable[str]) -> tuple[str, ...]:
    """All texts among the arguments that some program could take for a path, but for what is known as one already."""
    known = set(paths)
    parts = (part for word in words if word not in known for part in _parts(word))
    return tuple(dict.fromkeys(part for part in parts if part and part not in known))


def _parts(word: str) -> Iterator[str]:
    if not word.startswith("-"):
        yield word.removeprefix("@")
    elif not word.startswith("--"):
        yield from _attached(word)
    _, equals, value = word.partition("=")
    if equals:
        yield value
        yield from value.split("=")


def _attached(word: str) -> Iterator[str]:
    """What may be the value of an option in the same word: after the first letter, or where a path seems to begin."""
    for start in {2, word.find("/", 2), word.find("..", 2), word.find("~", 2)}:
        # A separator, as in `cut -d/`, is the one value of this kind that is common, and no file.
        if start > 0 and word[start:] != "/":
            yield word[start:]
