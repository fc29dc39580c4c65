"""The programs that change files, and which files those are."""

import posixpath

from retinue.tools.workspace.commands.doubts import doubts
from retinue.tools.workspace.commands.options import Read, understand
from retinue.tools.workspace.commands.programs import WRITERS
from retinue.tools.workspace.commands.verdict import Verdict, paths_among

_RECURSIVE = frozenset({"r", "R", "a", "recursive", "archive"})
_SYMBOLIC = frozenset({"s", "symbolic"})


def writer(words: tuple[str, ...]) -> Verdict | None:
    """Null if it is none of them. Is open-ended where its arguments are not all understood."""
    form = WRITERS.get(words[0])
    if form is None:
        return None
    read = understand(words[1:], form)
    sources, paths = _files(words[0], read) if read else ((), paths_among(words[1:]))
    return Verdict(
        action="file_write",
        reason="It changes files.",
        argv=words,
        sources=sources,
        paths=paths,
        doubts=doubts(words[1:], read.paths if read else paths),
        # In a directory that is merged into another, links may lie at any depth.
        is_open_ended=read is None or (words[0] == "cp" and bool(_RECURSIVE & read.options)),
    )


def _files(name: str, read: Read) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What it only reads, and what it changes."""
    if name not in ("cp", "mv", "ln") or not read.paths:
        return (), read.paths
    *given, target = read.paths
    if name == "ln" and not given:
        given, target = [target], "."
    changed = (target, *_entries(given, target))
    if name == "mv":
        return (), (*given, *changed)
    if name == "ln" and _SYMBOLIC & read.options:
        return _seen_from_the_link(given, target), changed
    return tuple(given), changed


def _entries(given: list[str], target: str) -> tuple[str, ...]:
    """The files that come to be if the target is a directory. A link that lies there already may be written through."""
    names = (posixpath.basename(path.rstrip("/")) for path in given)
    return tuple(posixpath.join(target, name) for name in names if name not in ("", ".", ".."))


def _seen_from_the_link(given: list[str], target: str) -> tuple[str, ...]:
    """What symbolic links will lead to: their text counts from where they lie, beside the target or in it."""
    return tuple(posixpath.join(place, path) for path in given for place in (posixpath.dirname(target), target))
