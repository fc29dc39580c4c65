"""OpenAI Chat Completions: OpenAI itself, Azure, and every server that speaks the same."""

from retinue.providers.openai.adapter import OpenAIProvider
from retinue.providers.openai.factory import OpenAIFactory

__all__ = ["OpenAIFactory", "OpenAIProvider"]
