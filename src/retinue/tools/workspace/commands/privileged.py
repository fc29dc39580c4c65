"""Commands that would act with somebody else's rights."""

import msgspec

from retinue.tools.workspace.commands.calls import TRANSPARENT, called, name_of, readings
from retinue.tools.workspace.commands.names import names
from retinue.tools.workspace.commands.syntax import Script

RAISERS = frozenset(
    names(
        """
        sudo sudoedit su doas pkexec runuser sux gksu gksudo kdesu kdesudo calife super please dzdo pbrun
        pfexec run0 systemd-run machinectl nsenter unshare chroot setpriv capsh newgrp sg
        """
    )
)
_FLAGS = frozenset({"-S", "-k", "-H", "--stdin", "--reset-timestamp", "--set-home"})
_KEPT = frozenset({"-H", "--set-home"})

ONLY_PLAIN = "Commands with other rights have to be written as `sudo <command>`, with nothing around it."


class Raised(msgspec.Struct, frozen=True):
    """What sudo is to run."""

    options: tuple[str, ...]
    argv: tuple[str, ...]


class Unsupported(msgspec.Struct, frozen=True):
    detail: str = ONLY_PLAIN


def raised(words: tuple[str, ...]) -> Raised | Unsupported | None:
    """How a plain command asks for other rights; null if it does not."""
    first = next((place for place, word in enumerate(words) if name_of(word) not in TRANSPARENT), len(words))
    if first < len(words) and name_of(words[first]) == "sudo" and "/" not in words[first].removeprefix("/usr/bin/"):
        return _of_sudo(words[first + 1 :])
    return Unsupported() if _raiser_is_called(words) else None


def raises_in(script: Script) -> bool:
    """Whether a script calls one of the programs, as far as one can see. What one cannot see gets no rights anyway."""
    return any(map(_raiser_is_called, readings(script)))


def _raiser_is_called(words: tuple[str, ...]) -> bool:
    return any(name_of(words[place]) in RAISERS for place in called(words))


def _of_sudo(words: tuple[str, ...]) -> Raised | Unsupported:
    options: list[str] = []
    place = 0
    while place < len(words) and words[place].startswith("-"):
        word = words[place]
        place += 1
        if word == "--":
            break
        if word in ("-u", "--user") and place < len(words):
            options += ["-u", words[place]]
            place += 1
        elif word not in _FLAGS:
            return Unsupported("This option of sudo cannot be used here.")
        elif word in _KEPT:
            options.append(word)
    argv = words[place:]
    if not argv or "=" in argv[0]:
        return Unsupported()
    return Unsupported() if name_of(argv[0]) in RAISERS else Raised(tuple(options), argv)
