"""What keeps a command in its workspace, and what of it this kernel can do."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from retinue.tools.workspace.commands.names import names
from retinue.tools.workspace.following import KERNEL
from retinue.tools.workspace.grounds import Grounds, within
from retinue.tools.workspace.launch import landlock, syscall_filter
from retinue.tools.workspace.settings import WorkspaceSettings

MIN_ABI = 3
"""Before it, Landlock lets files be emptied that it does not let be written."""

LAUNCHER = str(Path(__file__).parent / "launch" / "__main__.py")

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_CONFIGURATION = tuple(
    f"/etc/{name}"
    for name in names(
        "alternatives apt/apt.conf apt/apt.conf.d apt/preferences apt/preferences.d apt/sources.list "
        "apt/sources.list.d apt/trusted.gpg apt/trusted.gpg.d ca-certificates.conf debian_version dpkg fonts "
        "group host.conf hosts java ld.so.cache ld.so.conf ld.so.conf.d ld-musl-x86_64.path locale.alias localtime "
        "machine-id magic magic.mime mime.types nsswitch.conf os-release passwd perl profile protocols python3 "
        "resolv.conf services ssl/certs ssl/openssl.cnf terminfo timezone"
    )
)
_STATE = ("/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/var/lib/rpm", "/run/systemd/resolve")
_MACHINE = tuple(
    f"/proc/{name}" for name in names("cpuinfo filesystems loadavg meminfo stat uptime version sys/kernel")
)
_DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Confinement(msgspec.Struct, frozen=True):
    """What the kernel offers."""

    landlock_abi: int
    """0 if there is no Landlock."""
    filters_calls: bool
    hides_processes: bool = False
    """Whether processes can be started for which no others exist. Matters only where Landlock stops no signals."""

    @property
    def is_tight(self) -> bool:
        stops_signals = self.landlock_abi >= landlock.SIGNALS_SINCE or self.hides_processes
        return self.landlock_abi >= MIN_ABI and stops_signals and self.filters_calls


def probe() -> Confinement:
    """Starts a process, on kernels that need it."""
    abi = landlock.abi()
    return Confinement(abi, syscall_filter.is_available(), MIN_ABI <= abi < landlock.SIGNALS_SINCE and _hides())


def _hides() -> bool:
    try:
        command = [sys.executable, "-I", "-S", LAUNCHER, "probe"]
        return subprocess.run(command, env={}, check=False, capture_output=True, timeout=30).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """All that a confined process may touch. Everything else does not exist for it."""

    runs: tuple[str, ...] = ()
    """Directories to read and to start programs from."""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    connects: bool = False
    sees_processes: bool = False
    """It gets /proc, if that can be made to show its own processes only."""


class Reaches:
    """Makes reaches. Touches the file system: call it in a thread."""

    def __init__(self, settings: WorkspaceSettings, grounds: Grounds) -> None:
        self._grounds = grounds
        self._network = settings.network
        self._programs = tuple(dict.fromkeys((*SYSTEM, *search_path(settings))))

    def of_command(
        self, home: str, *, may_write: bool, sees_machine: bool, reads: Iterable[str], writes: Iterable[str]
    ) -> Reach:
        """What a command gets: the system's programs, its workspace, and what was allowed besides."""
        runs = [*self._programs, *([home] if may_write else [])]
        seen = [*_CONFIGURATION, *_STATE, *_DEVICES, *_MACHINE, *reads]
        return Reach(
            runs=self._without_hidden(runs, home),
            reads=self._without_hidden([*seen, home], home),
            writes=self._without_hidden(["/dev/null", *([home, *writes] if may_write else [])], home),
            connects=self._network and may_write,
            sees_processes=sees_machine,
        )

    def _without_hidden(self, paths: Iterable[str], home: str) -> tuple[str, ...]:
        return tuple(part for path in paths for part in ([path] if path == home else self._parts(path)))

    def _parts(self, path: str) -> list[str]:
        """A directory as a whole, or in parts if something hidden lies in it: the kernel knows no exceptions."""
        path = os.path.realpath(path)
        hidden = self._grounds.hides(path)
        if not hidden:
            return [path] if os.path.exists(path) else []
        if any(within(path, secret) for secret in hidden) or not os.path.isdir(path):
            return []
        return [part for name in sorted(os.listdir(path)) for part in self._parts(os.path.join(path, name))]


def search_path(settings: WorkspaceSettings) -> tuple[str, ...]:
    """The directories of programs, as they really are."""
    named = (os.path.realpath(name) for name in settings.path.split(":") if name.startswith("/"))
    return tuple(path for path in dict.fromkeys(named) if os.path.isdir(path) and path not in ("/", *KERNEL))
