"""Bodies of conversation requests."""

from uuid import UUID

from msgspec import UNSET, UnsetType

from retinue.domain.conversations import ConversationStatus
from retinue.http.schemas import ExternalId, RequestBody, Title, UserId


class ConversationCreate(RequestBody, frozen=True, kw_only=True):
    tenant_id: UUID
    employee_id: UUID
    user_id: UserId
    """Opaque: the client's own id of its user."""
    title: Title | None = None
    external_id: ExternalId | None = None
    """The client's own id of the thread or chat; unique in the tenant."""


class ConversationUpdate(RequestBody, frozen=True, kw_only=True):
    """What is left out stays."""

    title: Title | UnsetType | None = UNSET
    status: ConversationStatus | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
