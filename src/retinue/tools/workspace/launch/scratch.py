"""A directory for the temporary files of one command."""

import contextlib
import os
from collections.abc import Callable

_PARENT = os.path.realpath("/var/tmp" if not os.path.isdir("/tmp") else "/tmp")  # noqa: S108


def make() -> str:
    """A new directory of this user's alone. Raises: OSError."""
    path = os.path.join(_PARENT, f"retinue-{os.urandom(16).hex()}")
    os.mkdir(path, 0o700)
    return path


def remove(path: str) -> None:
    """Remove it with all that is in it, as far as that can be. No process may use it any more."""
    # Whoever nests directories beyond the depth of recursion leaves them behind.
    with contextlib.suppress(OSError, RecursionError):
        for parent, directories, files in os.walk(path, topdown=False):
            for name in files:
                _remove(os.unlink, os.path.join(parent, name))
            for name in directories:
                inner = os.path.join(parent, name)
                _remove(os.unlink if os.path.islink(inner) else os.rmdir, inner)
        os.rmdir(path)


def _remove(how: Callable[[str], None], path: str) -> None:
    with contextlib.suppress(OSError):
        how(path)
