"""`/conversations`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from retinue.domain.access import Scope
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.errors import Conflict, Forbidden, NotFound
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.pagination import DEFAULT_LIMIT, MAX_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.resources.conversations.schemas import ConversationCreate, ConversationUpdate, ConversationWithMessages
from retinue.resources.conversations.service import ConversationFilter, ConversationService

_Newest = Annotated[
    int, QueryParameter(ge=0, le=MAX_LIMIT, description="How many messages to answer with, counted from the newest.")
]
_Text = Annotated[str | None, QueryParameter(max_length=255)]


class ConversationController(Controller):
    path = "/conversations"
    tags = ("conversations",)
    conversations: ConversationService

    @post(
        problems={"external_id_taken": Conflict, "not_found": NotFound, "outside_of_token": Forbidden},
        replays=True,
        scope=Scope.CONVERSATIONS_WRITE,
    )
    async def create_conversation(
        self, request: EdgeRequest, data: JSONBody[ConversationCreate], idempotency_key: KeyHeader = None
    ) -> Response[Conversation]:
        """Begin a conversation between a user and an employee."""
        key = key_of(request, idempotency_key, data)
        return answer_with(await self.conversations.create(request.principal, data, key))

    @get(scope=Scope.CONVERSATIONS_READ, problems={"outside_of_token": Forbidden})
    async def list_conversations(
        self,
        *,
        request: EdgeRequest,
        tenant_id: FromQuery[UUID | None] = None,
        employee_id: FromQuery[UUID | None] = None,
        user_id: _Text = None,
        status: FromQuery[ConversationStatus | None] = None,
        external_id: _Text = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response[list[Conversation]]:
        """List a tenant's conversations, newest first.

        The operator has to name the tenant. Filters combine.
        """
        tenant = request.principal.tenant_for(tenant_id)
        wanted = ConversationFilter(employee_id=employee_id, user_id=user_id, status=status, external_id=external_id)
        found = await self.conversations.list(request.principal, tenant, wanted, limit=limit, cursor=cursor)
        return answer_page(request, found)

    @get("/{conversation_id:uuid}", scope=Scope.CONVERSATIONS_READ)
    async def read_conversation(
        self, request: EdgeRequest, conversation_id: FromPath[UUID], messages: _Newest = 20
    ) -> ConversationWithMessages:
        """Read a conversation with its newest messages. All of them are at `/messages`."""
        return await self.conversations.get(request.principal, conversation_id, messages=messages)

    @patch("/{conversation_id:uuid}", problems={"external_id_taken": Conflict}, scope=Scope.CONVERSATIONS_WRITE)
    async def update_conversation(
        self, request: EdgeRequest, conversation_id: FromPath[UUID], data: JSONBody[ConversationUpdate]
    ) -> Conversation:
        """Change a conversation's title, status, external id or session.

        A conversation whose session has expired takes messages again once its status was set to `active`.
        """
        return await self.conversations.update(request.principal, conversation_id, data)

    @delete("/{conversation_id:uuid}", scope=Scope.CONVERSATIONS_WRITE)
    async def delete_conversation(self, request: EdgeRequest, conversation_id: FromPath[UUID]) -> None:
        """Delete a conversation with its messages and runs.

        An active run is cancelled first.
        """
        await self.conversations.delete(request.principal, conversation_id)
