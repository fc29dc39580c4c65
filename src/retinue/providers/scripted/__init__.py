"""The scripted provider: deterministic answers without a network, a key or a model.

It ships for demos, tutorials and tests. The model name chooses what it does, see `MODELS`. The same request always gets
the same pieces; temperature therefore means nothing to it. One token is one word, so its usage is exact and counts as
reported.
"""

from retinue.providers.scripted.provider import DEFAULT_MODEL, MODELS, ScriptedFactory, ScriptedProvider

__all__ = ["DEFAULT_MODEL", "MODELS", "ScriptedFactory", "ScriptedProvider"]
