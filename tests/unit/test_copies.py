"""A secret that is deleted is not kept by those who only had to know it for a while."""

import gc
from typing import Any

import httpx2
import pytest

from retinue.egress import EgressPolicy
from retinue.observability.redaction import MASK, Redactor
from retinue.providers.anthropic import AnthropicFactory
from retinue.providers.base import ProviderConfig
from retinue.providers.openai import OpenAIFactory
from retinue.providers.registry import ProviderRegistry
from retinue.providers.scripted import ScriptedFactory

SECRET = "sk-canary-0123456789-zyxw"
CONFIGS = (
    ProviderConfig(provider="openai", model="m", api_key=SECRET),
    ProviderConfig(provider="anthropic", model="m", api_key=SECRET),
)


def holds(root: Any, secret: str) -> bool:
    """Whether the text can be reached from an object, in any of the spellings in which it might be kept."""
    texts = {secret, secret[:12], secret.encode().hex()}
    seen: set[int] = set()
    ahead = [root]
    while ahead:
        each = ahead.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):
            text = each if isinstance(each, str) else each.decode("utf-8", "replace")
            if any(wanted in text for wanted in texts):
                return True
        ahead += gc.get_referents(each)
    return False


@pytest.mark.parametrize("pinned", [False, True])
def test_the_redactor_recognises_what_it_does_not_keep(pinned: bool) -> None:
    redactor = Redactor()
    redactor.add(SECRET, pinned=pinned)
    assert redactor.redact(f"key={SECRET}!") == f"key={MASK}!"
    assert not holds(vars(redactor), SECRET)
    assert holds({"x": [SECRET]}, SECRET), "or the search finds nothing anyway"


def test_two_redactors_keep_different_things() -> None:
    """So what one keeps tells nothing to who has not its key."""
    kept = []
    for _ in range(2):
        redactor = Redactor()
        redactor.add(SECRET)
        kept.append(set(redactor._recent))
    assert kept[0].isdisjoint(kept[1])


async def test_clients_of_providers_go_with_a_tenant() -> None:
    async with httpx2.AsyncClient() as http:
        factories: dict[str, Any] = {
            "openai": OpenAIFactory(http, EgressPolicy()),
            "anthropic": AnthropicFactory(http, EgressPolicy()),
            "scripted": ScriptedFactory(),
        }
        registry = ProviderRegistry(factories)
        for config in CONFIGS:
            registry.open(config)
        caches = [vars(factory["_clients"])["_clients"] for factory in map(vars, factories.values()) if factory]
        assert [len(cache) for cache in caches] == [1, 1]
        registry.forget()
        assert [len(cache) for cache in caches] == [0, 0]
        registry.open(CONFIGS[0])
        assert [len(cache) for cache in caches] == [1, 0], "and are made again when they are needed"
