"""`/conversations/{id}/messages`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.types import ASGIApp

from retinue.domain import errors
from retinue.domain.access import Scope
from retinue.domain.messages import Message
from retinue.http.afterwards import afterwards
from retinue.http.idempotency import KeyHeader, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page
from retinue.http.requests import EdgeRequest
from retinue.http.sse import RunStream, StreamSettings
from retinue.http.streams import EVENT_ID, FRAMES, PLACES, ProtocolName, place_of
from retinue.protocols.registry import ProtocolRegistry
from retinue.resources.messages.schemas import Answer, MessageCreate, StreamCreate
from retinue.resources.messages.service import MessageService

_LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="The id of the last event that a client saw. The request then resumes that run and starts none.",
        schema_extra=EVENT_ID,
    ),
]

_STORING = {
    "conversation_closed": errors.Conflict,
    "conversation_busy": errors.Conflict,
    "session_expired": errors.Conflict,
    "rate_limited": errors.RateLimited,
    "idempotency_key_reused": errors.InvalidRequest,
}
_STARTING = {
    **_STORING,
    "provider_not_configured": errors.Conflict,
    "provider_not_usable": errors.Conflict,
    "employee_deleted": errors.Conflict,
    "employee_busy": errors.Conflict,
    "budget_exceeded": errors.BudgetExceeded,
    "price_unknown": errors.Conflict,
    "queue_full": errors.Conflict,
    "message_exceeds_context": errors.InvalidRequest,
    "token_rate_limited": errors.RateLimited,
    "too_many_runs": (errors.RateLimited, errors.Unavailable),
    "shutting_down": errors.Unavailable,
    "secret_unreadable": errors.SecretUnreadable,
    "unknown_master_key": errors.UnknownMasterKey,
}
_STREAMING = {**_STARTING, **PLACES, "unknown_protocol": errors.InvalidRequest}
_FAILING = {
    kind.code: kind
    for kind in (
        errors.ProviderTimeout,
        errors.ProviderReset,
        errors.ProviderTruncated,
        errors.ProviderProtocol,
        errors.ProviderOverloaded,
        errors.ProviderRateLimited,
        errors.ProviderAuth,
        errors.ProviderRefused,
        errors.ProcessLost,
        errors.RunTimeout,
        errors.StepLimitReached,
        errors.AnswerTooLong,
        errors.TokensUsedUp,
        errors.StreamBroken,
        errors.StreamMoved,
    )
} | {"egress_refused": errors.ProviderRefused}


class MessageController(Controller):
    path = "/conversations/{conversation_id:uuid}/messages"
    tags = ("messages",)
    messages: MessageService
    protocols: ProtocolRegistry
    streaming: StreamSettings

    @get(scope=Scope.CONVERSATIONS_READ)
    async def list_messages(
        self, request: EdgeRequest, conversation_id: FromPath[UUID], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response[list[Message]]:
        """List a conversation's messages, oldest first.

        An answer that is being written is listed with the status `streaming`; its text appears when it is complete.
        """
        page = await self.messages.list(request.principal, conversation_id, limit=limit, cursor=cursor)
        return answer_page(request, page)

    @post(
        status_code=200,
        answers=[Message, Answer],
        otherwise={202: Answer},
        problems=_STARTING | _FAILING | {"access_ended": errors.AccessEnded},
        scope=Scope.CONVERSATIONS_WRITE,
    )
    async def create_message(
        self,
        request: EdgeRequest,
        conversation_id: FromPath[UUID],
        data: JSONBody[MessageCreate],
        idempotency_key: KeyHeader = None,
    ) -> Message | Response[Answer]:
        """Append a user's message.

        With `respond` the employee answers it, and the request waits for the answer. If the client goes away
        meanwhile, the run goes on and is stored, unless `on_disconnect` says `cancel`. A run that has to wait for a
        person is answered with 202, as far as it has come, and so is one that is queued behind such a run. Without
        `respond`, the stored message is all that comes back. Sent again with the same `Idempotency-Key`, the request
        answers with what became of the first.
        """
        key = key_of(request, idempotency_key, data)
        if data.respond:
            # Who waits for an answer is let out like the reader of a stream.
            async with self.streaming.watch(request.principal):
                answer = await self.messages.respond(request.principal, conversation_id, data, key, request.receive)
            return Response(answer, status_code=202 if answer.is_waiting else 200)
        return await self.messages.store(request.principal, conversation_id, data, key)

    @post("/stream", status_code=200, problems=_STREAMING, frames=FRAMES, scope=Scope.CONVERSATIONS_WRITE)
    async def stream_answer(
        self,
        *,
        request: EdgeRequest,
        conversation_id: FromPath[UUID],
        data: JSONBody[StreamCreate],
        protocol: ProtocolName = "messages",
        last_event_id: _LastEventId = None,
        idempotency_key: KeyHeader = None,
    ) -> ASGIApp:
        """Append a user's message and stream the answer as server-sent events.

        The first event comes at once, the last is `message_end`, and it follows the commit. It also ends the stream
        where the run has to wait for a person; a decision, and then another stream, go on from there. A client that
        goes away loses nothing: the run goes on and is stored, unless `on_disconnect` says `cancel`. The first frame is
        `message_start`; of a run that ended so long ago that its beginning is not kept any more, it is `snapshot`.

        With `Last-Event-ID` the request goes on after that event instead of starting a run. Sent again with the same
        `Idempotency-Key`, it follows the run of the first request from its beginning. With `protocol=events` the
        canonical run events are sent as they are.
        """
        key = key_of(request, idempotency_key, data)
        wire = self.protocols.get(protocol)
        place = place_of(last_event_id, None)
        feed = await self.messages.stream(request.principal, conversation_id, data, key, place)
        return afterwards(RunStream(feed, wire, self.streaming))
