"""Anthropic Messages, at Anthropic and at servers that speak the same."""

from retinue.providers.anthropic.adapter import AnthropicProvider
from retinue.providers.anthropic.factory import AnthropicFactory

__all__ = ["AnthropicFactory", "AnthropicProvider"]
