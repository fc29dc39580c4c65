"""Commands that nobody may run, whoever allows them. A courtesy: what confines a command is not this list."""

import posixpath
import re

from retinue.tools.workspace.commands.calls import called, name_of, readings
from retinue.tools.workspace.commands.names import names
from retinue.tools.workspace.commands.syntax import Script

_BOMB = "This command starts processes without end."
_KERNEL = "Nobody may reach the system's /proc and /sys."
_DEVICES = "Nobody may reach devices."
_SCRIPT_DANGERS = {
    re.compile(r"(?<![^\s(){};|&])([^\s(){};|&]+)\s*\(\s*\)\s*[{(][^})]*(?<![\w.])\1\s*(?:\||&)\s*\1"): _BOMB,
    re.compile(r"(?<![^\s(){};|&])([^\s(){};|&]+)\s*\(\s*\)\s*[{(]\s*\1\s*&"): _BOMB,
    re.compile(r"\bfunction\s+([^\s(){}]+)(?:\s*\(\s*\))?\s*\{[^}]*(?<![\w.])\1\s*(?:\||&)"): _BOMB,
    re.compile(r"(?:\$0|\$\{0\}|\$BASH_SOURCE)\"?\s*(?:\||&)"): _BOMB,
    re.compile(r"\bfork(?:\s*\(\s*\))?\s*while\b|\bwhile\b[^;\n]{0,80}[\s;:{](?:os\.|Process\.)?fork\b"): _BOMB,
    re.compile(r"\bloop\s*[{(]\s*fork|\bfork(?:\s*\(\s*\))?\s*;\s*(?:redo|goto)\b"): _BOMB,
    re.compile(r"%0\s*\|\s*%0"): _BOMB,
    re.compile(r"(?<![\w./-])/+(?:proc|sys)(?![\w.-])"): _KERNEL,
    re.compile(r"(?<![\w./-])/+dev/(?!(?:null|zero|random|urandom|stdin|stdout|stderr)\b|fd/)"): _DEVICES,
}
_SYSTEM_PLACES = frozenset(
    names(
        """
        / /* /. /.. /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv
        /sys /tmp /usr /var ~ ~/ ~/* ~root $HOME
        """
    )
)
_RECURSIVE = {
    "rm": frozenset("rR"),
    "chmod": frozenset("R"),
    "chown": frozenset("R"),
    "chgrp": frozenset("R"),
    "mv": None,
    "shred": None,
}
_ENDS = frozenset(names("shutdown reboot halt poweroff telinit kexec insmod rmmod modprobe swapoff killall5"))
_DESTROYS = re.compile(r"mkfs(\..*)?|wipefs|[sc]?fdisk|parted|blkdiscard|hdparm|mke2fs|mkswap|badblocks|losetup")


def danger(text: str, words: tuple[str, ...]) -> str | None:
    """Why nobody may run this; null if it is no such command. `words` are its words, operators among them."""
    for pattern, why in _SCRIPT_DANGERS.items():
        if pattern.search(text):
            return why
    for reading in readings(Script(text, words)):
        named: set[str] = set()
        for place in called(reading):
            name = name_of(reading[place])
            # All words after its first call count for a program; another adds something where the next word matters.
            if name in named and name != "init":
                continue
            named.add(name)
            found = _of_program(name, reading[place + 1 :])
            if found:
                return found
    return None


def _of_program(name: str, arguments: tuple[str, ...]) -> str | None:
    if name in _ENDS or (name == "init" and arguments[:1] in (("0",), ("6",))):
        return "This command stops or changes the machine."
    if _DESTROYS.fullmatch(name):
        return "This command overwrites disks."
    if name == "systemctl" and {"poweroff", "reboot", "halt", "kexec", "rescue", "emergency"} & set(arguments):
        return "This command stops or changes the machine."
    if name == "kill" and {"-1", "0", "1"} & set(arguments[-1:]):
        return "This command ends processes that it did not start."
    if name in _RECURSIVE and _hits_the_system(name, arguments):
        return "This command destroys the system."
    return None


def _hits_the_system(name: str, arguments: tuple[str, ...]) -> bool:
    if "--no-preserve-root" in arguments:
        return True
    if not any(_place(argument) in _SYSTEM_PLACES for argument in arguments):
        return False
    letters = _RECURSIVE[name]
    return letters is None or any(
        argument == "--recursive" or (re.match(r"-[A-Za-z]", argument) and letters & set(argument))
        for argument in arguments
    )


def _place(argument: str) -> str:
    return posixpath.normpath(re.sub(r"/+", "/", argument)) if argument.startswith("/") else argument
