"""Telling a plain list of words from a program for the shell."""

import re
import shlex

import msgspec

from retinue.tools.workspace.commands.names import names

_SPECIAL = frozenset("|&;<>()$`*?[]{}\n")
_SPECIAL_AT_START = frozenset("~#")
_SPECIAL_IN_DOUBLE_QUOTES = frozenset("$`")
_WORDS_OF_THE_SHELL = frozenset(
    names(
        """
        ! . [ [[ : alias bg bind break case cd compgen continue coproc declare dirs disown do done elif else
        enable esac eval exit export fc fg fi for function getopts hash if in jobs let local logout mapfile
        popd pushd read readonly return select set shift shopt source suspend then time times trap type
        typeset ulimit umask unalias unset until wait while
        """
    )
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")


class Plain(msgspec.Struct, frozen=True):
    """One program with its arguments, the same for every shell and without one."""

    words: tuple[str, ...]


class Script(msgspec.Struct, frozen=True):
    """Only a shell knows what this means: pipes, redirections, substitutions, patterns, several commands."""

    text: str
    words: tuple[str, ...]
    """Roughly: with operators as words of their own."""


class Malformed(msgspec.Struct, frozen=True):
    detail: str


Parsed = Plain | Script | Malformed


def parse(text: str) -> Parsed:
    """Read one command line. What could be taken for shell syntax is."""
    text = text.strip(" \t")
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        return Malformed("A quotation in this command is not closed.")
    if not words or not words[0]:
        return Malformed("The command is empty.")
    if _uses_the_shell(text) or words[0] in _WORDS_OF_THE_SHELL or _ASSIGNMENT.match(words[0]):
        return Script(text, rough_words(text))
    return Plain(words)


def rough_words(text: str) -> tuple[str, ...]:
    """Words and operators of a script, for those who look for names in it."""
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars="|&;<>(){}`")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return tuple(lexer)
    except ValueError:
        return tuple(text.split())


def _uses_the_shell(text: str) -> bool:
    quote, escaped, at_start = "", False, True
    for char in text:
        if escaped:
            if char == "\n" or (quote and char in _SPECIAL_IN_DOUBLE_QUOTES):
                return True
            escaped = False
        elif quote == "'":
            quote = "" if char == "'" else quote
        elif char == "\\":
            escaped = True
        elif quote:
            if char in _SPECIAL_IN_DOUBLE_QUOTES:
                return True
            quote = "" if char == '"' else quote
        elif char in "'\"":
            quote = char
        elif char in _SPECIAL or (at_start and char in _SPECIAL_AT_START):
            return True
        at_start = not quote and not escaped and char in " \t"
    return False
