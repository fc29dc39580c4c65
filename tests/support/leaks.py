"""Secrets in what servers leave behind: every server of the suite writes all that it ever would, and is searched."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.server import RetinueServer

_KEY, _PASSWORD = "llm_api_key", "password"
_SHORTEST = 8
"""A shorter word may stand anywhere."""
_MOST_ALIKE = 4
"""So may words, and one that is nothing but a length."""
_CREDENTIAL = re.compile(r"rtn_(?:key|user)_[0-9a-f]{32}_[a-z0-9]{16,}")
_sent: dict[str, set[str]] = {_KEY: set(), _PASSWORD: set()}


def note(body: object) -> None:
    """Remember the secrets of a request that goes to some server."""
    if isinstance(body, dict):
        for name, words in _sent.items():
            if isinstance(text := body.get(name), str) and _is_telling(text):
                words.add(text)


def _is_telling(text: str) -> bool:
    return len(text) >= _SHORTEST and not text.isalpha() and " " not in text and len(set(text)) > _MOST_ALIKE


def refuse_leaks(server: "RetinueServer") -> None:
    """Raises: AssertionError: a secret that the server was started with, was sent or has given out stands in its log,
    or, but for passwords, which people may say as well, in its database where that is a file.
    """
    words = _sent[_KEY] | _of_environment(server.environment)
    places = {"the log": server.output} | _database_files(server.folder)
    leaks = {(place, word) for place, text in places.items() for word in words if word in text}
    leaks |= {("the log", word) for word in _sent[_PASSWORD] if word in server.output}
    leaks |= {(place, found) for place, text in places.items() for found in _CREDENTIAL.findall(text)}
    assert not leaks, leaks


def _of_environment(environment: Mapping[str, str]) -> set[str]:
    keys = environment.get("RETINUE_MASTER_KEYS", "").replace(",", " ").split()
    words = {key.partition(":")[2] for key in keys} | {environment.get("RETINUE_OPERATOR_KEY", "")}
    return {word for word in words if len(word) >= _SHORTEST}


def _database_files(folder: Path) -> dict[str, Any]:
    return {path.name: path.read_bytes().decode("latin-1") for path in folder.glob("*.db*")}
