"""What is nobody's to see, wherever it lies: secrets of the system and of people, and the scratch of other commands."""

import os
import re
from collections import deque
from collections.abc import Iterable
from typing import Literal

SECRETS = (
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
MAX_ENTRIES = 20_000
"""That are looked at beneath what one call opens."""

Beneath = Literal["none", "some", "unknown"]

_NAMES = re.compile(r"\.(ssh|gnupg|aws|kube|docker|netrc|pgpass|git-credentials|env)|id_(rsa|dsa|ecdsa|ed25519)")
_SCRATCH_PARENTS = tuple({os.path.realpath(path) for path in ("/tmp", "/var/tmp")})  # noqa: S108
_SCRATCH = re.compile(r"retinue-[0-9a-f]{32}")
"""Names of the directories that `launch.scratch` makes."""


def is_secret(real: str) -> bool:
    """Whether a name on the way says that a person keeps secrets there."""
    return any(map(_NAMES.fullmatch, real.split("/")))


def is_scratch(real: str) -> bool:
    """Whether it is, or lies in, the directory for temporary files of some tenant's command."""
    return any(
        real.startswith(f"{parent}/") and _SCRATCH.fullmatch(real[len(parent) + 1 :].partition("/")[0])
        for parent in _SCRATCH_PARENTS
    )


def scratch_parents() -> tuple[str, ...]:
    """Where such directories come and go at any time."""
    return _SCRATCH_PARENTS


def secrets_beneath(directories: Iterable[str], most: int = MAX_ENTRIES) -> Beneath:
    """Whether names beneath some directories say so, links not followed; `unknown`: there is too much to look through.

    What this process may not list it does not count: no command of its may either. Touches the file system.
    """
    waiting = deque(directories)
    while waiting:
        try:
            with os.scandir(waiting.popleft()) as entries:
                for entry in entries:
                    most -= 1
                    if most < 0:
                        return "unknown"
                    if _NAMES.fullmatch(entry.name):
                        return "some"
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return "unknown"
    return "none"
