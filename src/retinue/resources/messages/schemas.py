"""Bodies and answers of the messages resource."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from retinue.domain.messages import Message, ToolLogEntry
from retinue.domain.policy import ReasoningEffort
from retinue.domain.usage import Cost, GenerationStats, Usage
from retinue.http.schemas import RequestBody

Content = Annotated[str, Meta(min_length=1, pattern=r"\S", examples=["Where is my order?"])]


class MessageCreate(RequestBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's message. Its greatest length is the setting `limits.content_chars`."""

    content: Content
    respond: bool = False
    """True lets the employee answer, and waits for the answer."""
    reasoning: ReasoningEffort | None = None
    """For this answer only; needs `respond`."""


class StreamCreate(RequestBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's message that is answered as a stream."""

    content: Content
    reasoning: ReasoningEffort | None = None
    """For this answer only."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer without a stream."""

    run_id: UUID
    user_message_id: UUID
    message: Message
    status: str
    """`completed` or `cancelled`; a failed run is answered with its problem."""
    finish_reason: str
    usage: Usage | None
    cost: Cost | None
    generation_stats: GenerationStats
    tool_log: tuple[ToolLogEntry, ...]
    text_sha256: str
