"""A fake model provider, speaking OpenAI Chat Completions and Anthropic Messages.

In a test: `async with FakeUpstream() as upstream`. By hand: `python -m tests.support.upstream --port 9009`.
"""

from tests.support.upstream.recording import RecordedRequest
from tests.support.upstream.scenario import (
    Chunk,
    Comment,
    Cut,
    Error,
    Hold,
    Pause,
    Ping,
    Raw,
    Reasoning,
    Redacted,
    Refusal,
    Scenario,
    Signature,
    Stall,
    Text,
    Tokens,
    Tool,
    calls,
    refusal,
    says,
    tokens,
)
from tests.support.upstream.server import FakeUpstream
from tests.support.upstream.threaded import ThreadedUpstream, upstream_in_thread

__all__ = [
    "Chunk",
    "Comment",
    "Cut",
    "Error",
    "FakeUpstream",
    "Hold",
    "Pause",
    "Ping",
    "Raw",
    "Reasoning",
    "RecordedRequest",
    "Redacted",
    "Refusal",
    "Scenario",
    "Signature",
    "Stall",
    "Text",
    "ThreadedUpstream",
    "Tokens",
    "Tool",
    "calls",
    "refusal",
    "says",
    "tokens",
    "upstream_in_thread",
]
