"""How far a command reaches beyond its workspace."""

import os
from collections.abc import Iterable
from functools import cache
from uuid import UUID

import msgspec

from retinue.domain.tools import Effect
from retinue.tools.workspace.commands.characters import is_deceptive
from retinue.tools.workspace.commands.verdict import Verdict
from retinue.tools.workspace.confinement import SYSTEM
from retinue.tools.workspace.following import Follower
from retinue.tools.workspace.grounds import Grounds, Place, within, within_any
from retinue.tools.workspace.hidden import secrets_beneath

_WRITES_TO_SYSTEM = "Commands cannot write to the directories of the system."
_HOLDS_HIDDEN = "What belongs to others lies beneath this directory. list_dir can list it."
_HOLDS_SECRETS = "Secrets lie beneath a directory that this command would open. list_dir can list it."
_ENTRY_IS_CHANGED = frozenset({"rm", "rmdir", "mv"})
"""They change the directory in which a thing lies, not only the thing."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Real paths outside of the workspace that a command names."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    """Paths only if what is known about the program is wrong: they are asked for, and not opened."""
    is_vast: bool = False
    """There is too much beneath to be sure that no secrets are among it."""
    refusal: str | None = None

    @property
    def scope(self) -> str:
        """What an approval has to cover; empty if the command stays in its workspace."""
        writes = (f"{path} (write)" for path in self.writes)
        return ", ".join([*self.reads, *writes, *(f"{path} (perhaps)" for path in self.doubts)])


class _Located(msgspec.Struct, frozen=True, kw_only=True):
    sources: tuple[Place, ...]
    places: tuple[Place, ...]
    program: tuple[Place, ...]
    doubts: tuple[Place, ...]

    @property
    def refusal(self) -> str | None:
        all_ = (*self.program, *self.sources, *self.places, *self.doubts)
        return next((place.refusal for place in all_ if place.refusal), None)


def bounds_of(verdict: Verdict, tenant_id: UUID, grounds: Grounds) -> Bounds:
    """Follow the paths that a command names. Touches the file system. Raises: ToolError: `invalid_path`."""
    found = _located(verdict, tenant_id, grounds)
    if found.refusal:
        return Bounds(refusal=found.refusal)
    is_reader = verdict.effect is Effect.READ
    reads = _outside((*found.sources, *(found.places if is_reader else ()), *found.program))
    writes = () if is_reader else _written(verdict, found.places, grounds.home(tenant_id))
    if any(map(grounds.hides, (*reads, *writes))):
        return Bounds(refusal=_HOLDS_HIDDEN)
    if any(map(_is_too_wide, writes)):
        return Bounds(refusal=_WRITES_TO_SYSTEM)
    beneath = secrets_beneath(path for path in (*reads, *writes) if not within_any(path, _system()))
    if beneath == "some":
        return Bounds(refusal=_HOLDS_SECRETS)
    doubts = tuple(ascii(path) if is_deceptive(path) else path for path in _outside(found.doubts))
    return Bounds(reads=reads, writes=writes, doubts=doubts, is_vast=beneath == "unknown")


def _located(verdict: Verdict, tenant_id: UUID, grounds: Grounds) -> _Located:
    follower = Follower()

    def locate(paths: Iterable[str]) -> tuple[Place, ...]:
        return tuple(grounds.locate(tenant_id, path, follower) for path in dict.fromkeys(paths) if path)

    doubts = (grounds.doubt(tenant_id, text, follower) for text in dict.fromkeys(verdict.doubts))
    program = locate(name for name in verdict.argv[:1] if "/" in name)
    return _Located(
        sources=locate(verdict.sources),
        places=locate(verdict.paths),
        program=tuple(place for place in program if not _is_open_to_all(place)),
        doubts=tuple(place for place in doubts if place is not None and not _is_open_to_all(place)),
    )


def _outside(places: Iterable[Place]) -> tuple[str, ...]:
    return tuple(sorted({place.real for place in places if not place.is_home_ground}))


def _written(verdict: Verdict, places: Iterable[Place], home: str) -> tuple[str, ...]:
    outside = {place.real: place for place in places if not place.is_home_ground}
    if verdict.action != "file_write":
        # Everybody may read the system's own files; nobody gets to write there.
        outside = {real: place for real, place in outside.items() if not within_any(real, _system())}
    grounds = {_ground(place, verdict) for place in outside.values()}
    return tuple(sorted(path for path in grounds if not within(path, home)))


def _ground(place: Place, verdict: Verdict) -> str:
    """What has to be open for writing: a directory, since only there can things appear and disappear."""
    if os.path.isdir(place.real) and os.path.basename(verdict.argv[0]) not in _ENTRY_IS_CHANGED:
        return place.real
    parent = os.path.dirname(place.real)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return parent


def _is_too_wide(path: str) -> bool:
    return any(within(path, one) or within(one, path) for one in (*_system(), "/etc"))


def _is_open_to_all(place: Place) -> bool:
    """It is one of the system's own files, which every command may read and start."""
    return place.forbidden is None and within_any(place.real, _system())


@cache
def _system() -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in SYSTEM)
