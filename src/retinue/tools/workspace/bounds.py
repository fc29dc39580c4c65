"""How far a command reaches beyond its workspace."""

import os
from uuid import UUID

import msgspec

from retinue.domain.tools import Effect
from retinue.tools.workspace.commands.verdict import Verdict
from retinue.tools.workspace.confinement import SYSTEM
from retinue.tools.workspace.grounds import Grounds, Place, within, within_any

_WRITES_TO_SYSTEM = "Commands cannot write to the directories of the system."
_HOLDS_HIDDEN = "What belongs to others lies beneath this directory. list_dir can list it."
_ENTRY_IS_CHANGED = frozenset({"rm", "rmdir", "mv"})
"""They change the directory in which a thing lies, not only the thing."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Real paths outside of the workspace that a command names."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    refusal: str | None = None

    @property
    def scope(self) -> str:
        """What an approval has to cover; empty if the command stays in its workspace."""
        return ", ".join([*self.reads, *(f"{path} (write)" for path in self.writes)])


def bounds_of(verdict: Verdict, tenant_id: UUID, grounds: Grounds) -> Bounds:
    """Follow the paths that a command names. Touches the file system. Raises: ToolError: `invalid_path`."""
    sources = [grounds.locate(tenant_id, path) for path in verdict.sources if path]
    places = [grounds.locate(tenant_id, path) for path in verdict.paths if path]
    refusal = next((place.refusal for place in (*sources, *places) if place.refusal), None)
    if refusal:
        return Bounds(refusal=refusal)
    if verdict.effect is Effect.READ:
        sources, places = places, []
    reads = tuple(sorted({place.real for place in sources if not place.is_home_ground}))
    if any(map(grounds.hides, reads)):
        return Bounds(refusal=_HOLDS_HIDDEN)
    outside = {place.real: place for place in places if not place.is_home_ground}
    if verdict.action != "file_write":
        # Everybody may read the system's own files; nobody gets to write there.
        outside = {real: place for real, place in outside.items() if not within_any(real, _system())}
    writes = sorted({_ground(place, verdict) for place in outside.values()})
    home = grounds.home(tenant_id)
    if any(_is_too_wide(path, home, grounds) for path in writes):
        return Bounds(refusal=_WRITES_TO_SYSTEM)
    return Bounds(reads=reads, writes=tuple(path for path in writes if not within(path, home)))


def _ground(place: Place, verdict: Verdict) -> str:
    """What has to be open for writing: a directory, since only there can things appear and disappear."""
    if os.path.isdir(place.real) and os.path.basename(verdict.argv[0]) not in _ENTRY_IS_CHANGED:
        return place.real
    parent = os.path.dirname(place.real)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return parent


def _is_too_wide(path: str, home: str, grounds: Grounds) -> bool:
    if within(path, home):
        return False
    return bool(grounds.hides(path)) or any(within(path, one) or within(one, path) for one in (*_system(), "/etc"))


def _system() -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in SYSTEM)
