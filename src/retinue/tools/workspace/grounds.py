"""Where paths lead, and who may go there."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import msgspec

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace.commands.characters import is_deceptive
from retinue.tools.workspace.following import KERNEL, CannotFollow, Follower
from retinue.tools.workspace.hidden import SECRETS, is_scratch, is_secret, scratch_parents
from retinue.tools.workspace.settings import WorkspaceSettings

MAX_PATH_BYTES = 4_000
MAX_NAME_BYTES = 255
"""No file system has longer names."""
_HARMLESS_DEVICES = frozenset(f"/dev/{name}" for name in ("null", "zero", "random", "urandom"))

_LEAVING = "Leaving the workspace is not allowed on this server."
_NO_WORKSPACE = "The workspace cannot be used."


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a path leads to, as things were when it was looked up."""

    real: str
    """Absolute and without symbolic links."""
    inside: str | None
    """The same from the workspace's root on (`.` for the root itself); null outside of it."""
    is_shared: bool = False
    """A file inside that has other names (hard links): what it holds may belong elsewhere."""
    forbidden: str | None = None
    """Why nobody may go there."""
    is_denied: bool = False
    """The operator lets nobody leave, and this is outside."""

    @property
    def refusal(self) -> str | None:
        return self.forbidden or (_LEAVING if self.is_denied else None)

    @property
    def is_home_ground(self) -> bool:
        """Nobody has to be asked before going there."""
        return self.real in _HARMLESS_DEVICES or (self.inside is not None and not self.is_shared)

    @property
    def shown(self) -> str:
        return self.inside if self.inside is not None else self.real


class Grounds:
    """All methods that take a path touch the file system: call them in a thread."""

    def __init__(self, settings: WorkspaceSettings) -> None:
        self.root = os.path.realpath(settings.root)
        self._protected = tuple(os.path.realpath(path) for path in settings.protected)
        self._outside_is_denied = settings.outside == "deny"

    def home(self, tenant_id: UUID) -> str:
        """The root of a tenant's workspace; it need not exist yet."""
        return os.path.join(self.root, str(tenant_id))

    def make_home(self, tenant_id: UUID) -> str:
        """Make it if it is missing. Raises: ToolError."""
        home = self.home(tenant_id)
        try:
            Path(self.root).mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(home).mkdir(mode=0o700, exist_ok=True)
        except OSError:
            raise ToolError(_NO_WORKSPACE, code="workspace_unavailable", took_effect=False) from None
        if os.path.realpath(home) != home:
            raise ToolError(_NO_WORKSPACE, code="workspace_unavailable", took_effect=False)
        return home

    def locate(self, tenant_id: UUID, path: str, follower: Follower | None = None) -> Place:
        """Follow a path, taken from the workspace's root on, through all its links.

        Raises: ToolError: `invalid_path`.
        """
        check_text(path)
        place = self._place(tenant_id, path, follower or Follower())
        if place.inside is None and is_deceptive(place.real):
            raise invalid_path("The path leads to a name with characters that cannot be seen.")
        return place

    def doubt(self, tenant_id: UUID, text: str, follower: Follower) -> Place | None:
        """Where a text leads that is not known to be a path; null if it can be none.

        Raises: ToolError: `invalid_path`.
        """
        if "\x00" in text or any(len(os.fsencode(name)) > MAX_NAME_BYTES for name in text.split("/")):
            return None
        if text.startswith("~"):
            text = _expanded(text)
        return self._place(tenant_id, text, follower)

    def hides(self, directory: str) -> tuple[str, ...]:
        """What lies in a directory and is nobody's to see there, for whoever hands out the directory as a whole."""
        if is_scratch(directory):
            return (directory,)
        scratch = (f"{parent}/retinue-*" for parent in scratch_parents())
        return tuple(path for path in (self.root, *self._protected, *SECRETS, *scratch) if within(path, directory))

    def _place(self, tenant_id: UUID, path: str, follower: Follower) -> Place:
        home = self.home(tenant_id)
        try:
            real = follower.follow(os.path.join(home, path))
            if not within(real, home):
                return self._place_outside(real)
            return Place(real=real, inside=os.path.relpath(real, home), is_shared=_has_other_names(real))
        except CannotFollow:
            raise invalid_path("This path leads nowhere, or where it leads cannot be told.") from None

    def _place_outside(self, real: str) -> Place:
        is_harmless = real in _HARMLESS_DEVICES
        forbidden = None if is_harmless else self._forbidden(real)
        return Place(real=real, inside=None, forbidden=forbidden, is_denied=self._outside_is_denied and not is_harmless)

    def _forbidden(self, real: str) -> str | None:
        if any(within(real, kernel) for kernel in KERNEL):
            return "Nobody may reach the system's /proc, /sys and /dev."
        if within(real, self.root):
            return "This belongs to somebody else's workspace."
        if is_scratch(real):
            return "This belongs to somebody else's command."
        if any(within(real, path) for path in self._protected):
            return "This belongs to the server itself."
        if any(within(real, path) for path in SECRETS) or is_secret(real):
            return "This is where the system or a person keeps secrets."
        return None


def within(path: str, directory: str) -> bool:
    """Whether a real path is a real directory or lies in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def within_any(path: str, directories: Iterable[str]) -> bool:
    return any(within(path, directory) for directory in directories)


def check_text(path: str) -> None:
    """Raises: ToolError: `invalid_path`: it could not be a path, or could not be shown to a person as it is."""
    if not path:
        raise invalid_path("The path is empty.")
    if is_deceptive(path):
        raise invalid_path("The path contains characters that cannot be seen.")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise invalid_path("The path is too long.")


def invalid_path(detail: str) -> ToolError:
    return ToolError(detail, kind=ToolErrorKind.VALIDATION, code="invalid_path", took_effect=False)


def _has_other_names(path: str) -> bool:
    """Raises: CannotFollow."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        raise CannotFollow from None
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _expanded(text: str) -> str:
    """With `~` and `~name` replaced as a program might do it; the workspace is the home of those that run in it."""
    name, slash, rest = text.partition("/")
    return f".{slash}{rest}" if name == "~" else os.path.expanduser(name) + slash + rest
