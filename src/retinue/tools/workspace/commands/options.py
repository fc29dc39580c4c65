"""Which arguments of a program are options, which are paths. Only options that are known are let pass."""

import re
from typing import Literal

import msgspec

Operands = Literal["paths", "text", "text_then_paths", "one_path", "none"]

_NUMBER = re.compile(r"-\d+")


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of one program that are known to do no more than it says of itself."""

    operands: Operands = "paths"
    flags: str = ""
    """Letters of options without a value."""
    values: str = ""
    """Letters of options with a value that is no path."""
    long: str = ""
    """Names of long options, with `=` at the end where a value may follow. None of the values is a path."""
    numbers: bool = False
    """`-5` means five lines."""
    pattern_options: str = ""
    """Options that take the place of the first operand, by letter and by name."""
    expands_files: bool = False
    """`@file` stands for the arguments that are written in a file."""


class Read(msgspec.Struct, frozen=True):
    """The arguments are understood. What they name are these paths."""

    paths: tuple[str, ...]
    operands: tuple[str, ...]
    options: frozenset[str]


def understand(arguments: tuple[str, ...], form: Form) -> Read | None:
    """Null if any of the arguments is not known to be harmless."""
    if form.expands_files and any(argument.startswith("@") for argument in arguments):
        return None
    reader = _Reader(form)
    for argument in arguments:
        if not reader.take(argument):
            return None
    return reader.result()


class _Reader:
    def __init__(self, form: Form) -> None:
        self._form = form
        self._operands: list[str] = []
        self._options: set[str] = set()
        self._awaits_value = False
        self._only_operands = False
        long = form.long.split()
        self._long = {name.rstrip("=") for name in long}
        self._long_with_value = {name.rstrip("=") for name in long if name.endswith("=")}

    def take(self, argument: str) -> bool:
        if self._awaits_value:
            self._awaits_value = False
            return True
        if self._only_operands or argument == "-" or not argument.startswith("-"):
            self._operands.append(argument)
            return True
        if argument == "--":
            self._only_operands = True
            return True
        if self._form.numbers and _NUMBER.fullmatch(argument):
            return True
        return self._long_option(argument[2:]) if argument.startswith("--") else self._letters(argument[1:])

    def _long_option(self, text: str) -> bool:
        name, equals, _ = text.partition("=")
        self._options.add(name)
        # Abbreviations and a value in the next word are not let pass: they are read differently by different programs.
        return name in (self._long_with_value if equals else self._long)

    def _letters(self, letters: str) -> bool:
        for place, letter in enumerate(letters):
            self._options.add(letter)
            if letter in self._form.values:
                self._awaits_value = place == len(letters) - 1
                return True
            if letter not in self._form.flags:
                return False
        return True

    def result(self) -> Read | None:
        operands = self._operands
        paths: list[str] = []
        match self._form.operands:
            case "none" if operands:
                return None
            case "one_path" if len(operands) > 1:
                return None
            case "paths" | "one_path":
                paths = operands
            case "text_then_paths":
                has_pattern = bool(self._options & set(self._form.pattern_options.split()))
                paths = operands if has_pattern else operands[1:]
        # `-` among them: for some programs it is a file of that name.
        return Read(tuple(paths), tuple(operands), frozenset(self._options))
