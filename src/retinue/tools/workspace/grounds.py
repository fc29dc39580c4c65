"""Where paths lead, and who may go there."""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import msgspec

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace.following import KERNEL, TooManyLinks, follow
from retinue.tools.workspace.settings import WorkspaceSettings

MAX_PATH_BYTES = 4_000
_HARMLESS_DEVICES = frozenset(f"/dev/{name}" for name in ("null", "zero", "random", "urandom"))
_SECRETS = (
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/ssh",
    "/run/secrets",
    "/var/run/secrets",
    "/boot",
)
_SECRET_NAMES = re.compile(r"\.(ssh|gnupg|aws|kube|docker|netrc|pgpass|git-credentials|env)|id_(rsa|dsa|ecdsa|ed25519)")

_NO_WORKSPACE = "The workspace cannot be used."


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a path leads to, as things were when it was looked up."""

    real: str
    """Absolute and without symbolic links."""
    inside: str | None
    """The same from the workspace's root on (`.` for the root itself); null outside of it."""
    is_shared: bool = False
    """A file inside that has other names (hard links): what it holds may belong elsewhere."""
    refusal: str | None = None

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

    def locate(self, tenant_id: UUID, path: str) -> Place:
        """Follow a path, taken from the workspace's root on, through all its links.

        Raises: ToolError: `invalid_path`.
        """
        check_text(path)
        home = self.home(tenant_id)
        try:
            real = follow(os.path.join(home, path))
        except TooManyLinks:
            raise invalid_path("This path leads nowhere.") from None
        if not within(real, home):
            return Place(real=real, inside=None, refusal=self._refusal(real))
        return Place(real=real, inside=os.path.relpath(real, home), is_shared=_has_other_names(real))

    def hides(self, directory: str) -> tuple[str, ...]:
        """What lies in a directory and is nobody's to see there, for whoever hands out the directory as a whole."""
        return tuple(path for path in (self.root, *self._protected, *_SECRETS) if within(path, directory))

    def _refusal(self, real: str) -> str | None:
        if any(within(real, kernel) for kernel in KERNEL):
            return None if real in _HARMLESS_DEVICES else "Nobody may reach the system's /proc, /sys and /dev."
        if within(real, self.root):
            return "This belongs to somebody else's workspace."
        if any(within(real, path) for path in self._protected):
            return "This belongs to the server itself."
        if any(within(real, path) for path in _SECRETS) or any(map(_SECRET_NAMES.fullmatch, real.split("/"))):
            return "This is where the system or a person keeps secrets."
        return "Leaving the workspace is not allowed on this server." if self._outside_is_denied else None


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


def is_deceptive(text: str) -> bool:
    """Whether it holds characters that a person who reads it would not see, or would see elsewhere."""
    return not text.isprintable()


def invalid_path(detail: str) -> ToolError:
    return ToolError(detail, kind=ToolErrorKind.VALIDATION, code="invalid_path", took_effect=False)


def _has_other_names(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1
