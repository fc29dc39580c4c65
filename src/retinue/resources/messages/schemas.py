"""Bodies and answers of the messages resource."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from retinue.domain.messages import Message, ToolLogEntry
from retinue.domain.policy import OnBusy, OnDisconnect, ReasoningEffort
from retinue.domain.usage import Cost, GenerationStats, Usage
from retinue.http.schemas import NOT_BLANK, RequestBody
from retinue.protocols.messages import WAITING
from retinue.resources.approvals.schemas import ShownApproval

QUEUED = "queued"
"""The status of an answer that has not begun."""
Content = Annotated[str, Meta(min_length=1, pattern=NOT_BLANK, examples=["Where is my order?"])]


class MessageCreate(RequestBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's message. Its greatest length is the setting `limits.content_chars`."""

    content: Content
    respond: bool = False
    """True lets the employee answer, and waits for the answer."""
    reasoning: ReasoningEffort | None = None
    """For this answer only; needs `respond`. Not with `append`: the active run answers as it began."""
    on_busy: OnBusy | UnsetType = UNSET
    """As in a stream; left out, `reject`. Needs `respond`: what asks for no answer waits for none."""
    on_disconnect: OnDisconnect | UnsetType = UNSET
    """As in a stream; left out, `continue`. Needs `respond`."""


class StreamCreate(RequestBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's message that is answered as a stream."""

    content: Content
    reasoning: ReasoningEffort | None = None
    """For this answer only. Not with `append`: the active run answers as it began."""
    on_busy: OnBusy = "reject"
    """What becomes of the message while a run is active: `reject` answers 409; `enqueue` has it answered after what is
    there, up to a bound; `interrupt` cancels the active run, which keeps what it has said, and has the message answered
    next; `append` hands it to the active run, which takes it as soon as its present step is complete.
    """
    on_disconnect: OnDisconnect = "continue"
    """What becomes of the run when this connection goes away before the end: `continue` lets it complete, to be read
    later; `cancel` stops it, whoever else follows it.
    """


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer without a stream: complete, or as far as it came before it had to wait for a person."""

    run_id: UUID
    user_message_id: UUID
    message: Message
    status: str
    """`completed`, `cancelled` or `expired`; a failed run is answered with its problem. `waiting_for_approval`,
    `waiting_for_password` or `effect_unknown` where the run waits for a person, `queued` where the one before it does;
    it goes on under the same ids.
    """
    finish_reason: str | None
    """Null while the run is queued."""
    usage: Usage | None
    cost: Cost | None
    generation_stats: GenerationStats
    tool_log: tuple[ToolLogEntry, ...]
    text_sha256: str
    approvals: tuple[ShownApproval, ...] = ()
    """What the run waits for, in the order in which it is handled."""
    tool_call_ids: tuple[str, ...] = ()
    """The calls of which a person has to find out whether they took effect."""

    @property
    def is_waiting(self) -> bool:
        return self.status == QUEUED or self.status in WAITING.values()
