"""What a process says, as far as it is kept, and without the password."""

import re

from retinue.tools.workspace.jobs import Prompt

REDACTED = b"[redacted]"
_GIVEN_UP = re.compile(
    rb"\s*(?:Sorry, try again\.\s*)*sudo: (?:\d+ incorrect password attempts?|no password was provided.*)\s*"
)


class Collector:
    """One of a process's two outputs."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.kept = bytearray()
        self.is_cut = False

    def add(self, piece: bytes) -> None:
        self.is_cut = self.is_cut or len(piece) > self._room - len(self.kept)
        self.kept += piece[: self._room - len(self.kept)]


def without_secrets(output: bytes, prompt: Prompt, *, is_cut: bool) -> bytes:
    """The output without the prompt and the password, and without its beginning where the output breaks off in it."""
    password = prompt.password.reveal().encode()
    output = output.replace(prompt.marker.encode(), b"")
    if is_cut:
        longest = min(len(password) - 1, len(output))
        part = next((size for size in range(longest, 0, -1) if output.endswith(password[:size])), 0)
        output = output[: len(output) - part]
    return output.replace(password, REDACTED)


def asked(errors: bytes, prompt: Prompt) -> int:
    """How often the program has asked for the password."""
    return errors.count(prompt.marker.encode())


def was_refused(exit_code: int | None, stdout: bytes, stderr: bytes, prompt: Prompt) -> bool:
    """Whether the program gave up on the password without asking a second time, having run nothing."""
    _, marker, after = stderr.partition(prompt.marker.encode())
    return bool(marker and exit_code == 1 and not stdout and _GIVEN_UP.fullmatch(after))
