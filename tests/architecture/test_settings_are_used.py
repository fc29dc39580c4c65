"""No setting is accepted and ignored."""

import ast
import re
from functools import cache

from retinue.settings.loading import variables
from tests.architecture.tree import SOURCE, modules

DECIDED_AT_START = {("coordination", "url")}
"""`check` accepts one value only, so nobody has to read it afterwards."""


def consumers() -> str:
    """The text of every module that is handed the settings."""
    own = SOURCE / "settings"
    texts = [path.read_text(encoding="utf-8") for path, _ in modules() if own not in path.parents]
    return "\n".join(text for text in texts if "retinue.settings" in text)


@cache
def conversions() -> dict[tuple[str, str], str]:
    """For each key that a section converts itself: the method that does."""
    trees = [tree for path, tree in modules() if path.parent == SOURCE / "settings" / "sections"]
    found = {}
    for section in (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in (node for node in section.body if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(method):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                    found[section.name.lower(), node.attr] = method.name
    return found


def is_used(path: tuple[str, ...], text: str) -> bool:
    owner, key = path if len(path) == 2 else ("settings", path[0])
    method = conversions().get((owner, key))
    names = [key] if method is None else [key, method]
    return any(re.search(rf"\b{owner}\.{name}\b", text) for name in names)


def test_every_setting_is_read() -> None:
    text = consumers()
    assert [
        ".".join(path) for path in variables().values() if path not in DECIDED_AT_START and not is_used(path, text)
    ] == []


def test_an_unread_setting_is_noticed() -> None:
    assert is_used(("limits", "body_bytes"), "cap = settings.limits.body_bytes")
    assert is_used(("provider", "max_tries"), "retry = settings.provider.retry_policy()")
    assert not is_used(("limits", "body_bytes"), "cap = settings.limits.body_bytes_more")
    assert not is_used(("provider", "max_tries"), "settings.provider.deadlines()")
