"""A `sudo` that raises nobody's rights, and remembers what it was given and what could be seen of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

import msgspec

_PROGRAM = '''#!{python} -IS
"""Speaks as `sudo -S -k -p <prompt> [-l] [options] [--] <command>` does."""

import ctypes, json, os, pathlib, select, signal, sys

FOLDER = pathlib.Path({folder!r})
ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def arguments():
    words, prompt, lists = sys.argv[1:], "[sudo] password:", False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        if word == "-p":
            prompt = words.pop(0)
        elif word == "-u":
            words.pop(0)
        elif word == "-l":
            lists = True
    return prompt, words, lists


def read_line():
    line = b""
    while not line.endswith(b"\\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def rest_of_input():
    is_there, _, _ = select.select([0], [], [], 0.05)
    return os.read(0, 4096) if is_there else b""


def places_where_it_shows(password):
    found = []
    for name in os.listdir("/proc"):
        for file in ("cmdline", "environ"):
            try:
                if name.isdigit() and password in pathlib.Path("/proc", name, file).read_bytes():
                    found.append(f"{{name}}/{{file}}")
            except OSError:
                pass
    return found


def remember(**fields):
    with (FOLDER / "seen").open("a") as seen:
        seen.write(json.dumps(fields) + "\\n")


prompt, command, lists = arguments()
sys.stderr.write(prompt)
sys.stderr.flush()
line = read_line()
if not line.startswith({right!r}):
    remember(command=command, line=line.decode("latin-1"), is_right=False, rest="", shown_in=[], environment={{}})
    sys.stderr.write("Sorry, try again.\\n" + prompt)
    sys.stderr.flush()
    read_line()
    sys.stderr.write("sudo: no password was provided\\nsudo: 1 incorrect password attempt\\n")
    sys.exit(1)
if lists:
    print("/usr/bin/" + " ".join(command))
    sys.exit(0)
password = line.rstrip(b"\\n")
remember(
    command=command,
    line=line.decode("latin-1"),
    is_right=True,
    rest=rest_of_input().decode("latin-1"),
    shown_in=places_where_it_shows(password),
    environment=dict(os.environ),
)
if command[0] == "gossip":
    print("The secret is", password.decode(), "and nothing else.")
    sys.stderr.write(password.decode())
elif command[0] == "hang":
    signal.pause()
else:
    os.execvp(command[0], command)
'''

_RIGHT = b"open-sesame-"


class Seen(msgspec.Struct, frozen=True):
    """One time that it was called; what only tries out a right password is not remembered."""

    command: list[str]
    line: str
    """What came on standard input up to the first line end."""
    is_right: bool
    rest: str
    """What came after it."""
    shown_in: list[str]
    """Files of `/proc` in which the password could be read while it was in use."""
    environment: dict[str, str]


class FakeSudo:
    """The commands `gossip` (which shows the password) and `hang` are its own; all others are really run.

    Beside it lies an `apt` that is quick and on every machine.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "sudo"
        text = _PROGRAM.format(python=sys.executable, folder=str(folder), right=_RIGHT)
        program.write_text(text)
        program.chmod(0o755)
        packages = folder / "apt"
        packages.write_text("#!/bin/sh\necho Listing...\n")
        packages.chmod(0o755)

    def password(self) -> str:
        """A password that it accepts, and that occurs nowhere else."""
        return f"{_RIGHT.decode()}{token_hex(8)}"

    def seen(self, *words: str) -> Sequence[Seen]:
        """When it was called for a command with these words."""
        file = self.folder / "seen"
        lines = file.read_text().splitlines() if file.exists() else []
        seen = [msgspec.json.decode(line, type=Seen) for line in lines]
        return [one for one in seen if set(words) <= set(one.command)]
