"""Bodies and answers of the conversations resource."""

from uuid import UUID

from msgspec import UNSET, UnsetType

from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.messages import Message
from retinue.http.schemas import ExternalId, RequestBody, Seconds, Title, UserId


class ConversationWithMessages(Conversation, frozen=True, kw_only=True):
    messages: tuple[Message, ...]
    """The newest, as many as were asked for, oldest first."""


class ConversationCreate(RequestBody, frozen=True, kw_only=True):
    tenant_id: UUID | UnsetType = UNSET
    """May be left out with a credential of the tenant, and has to agree with it."""
    employee_id: UUID
    user_id: UserId
    """Opaque: the client's own id of its user."""
    title: Title | None = None
    external_id: ExternalId | None = None
    """The client's own id of the thread or chat; unique in the tenant."""
    session_ttl_seconds: Seconds | None = None
    """Without a message for longer than this, the session has expired and the conversation takes messages only after it
    was made active again. Null for the server's own setting; 0 expires at once.
    """


class ConversationUpdate(RequestBody, frozen=True, kw_only=True):
    """What is left out stays."""

    title: Title | UnsetType | None = UNSET
    status: ConversationStatus | UnsetType = UNSET
    """`active` also reopens a conversation whose session has expired."""
    external_id: ExternalId | UnsetType | None = UNSET
    session_ttl_seconds: Seconds | UnsetType | None = UNSET
