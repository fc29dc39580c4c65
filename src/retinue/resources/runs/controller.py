"""`/runs`, and the runs of a conversation."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from retinue.domain.access import Scope
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.domain.runs import Run, RunStatus
from retinue.http.afterwards import afterwards
from retinue.http.idempotency import KeyHeader, key_of
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page, next_link
from retinue.http.requests import EdgeRequest
from retinue.http.sse import Feed, RunStream, StreamSettings, nothing_follows
from retinue.http.streams import FRAMES, PLACES, After, LastEventId, ProtocolName, place_of
from retinue.protocols.events import AnyEvent, canonical_json
from retinue.protocols.registry import ProtocolRegistry
from retinue.resources.runs.schemas import Cancellation, cancellation_of
from retinue.resources.runs.service import RunAccess

_EventLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many events to answer with at most.")]
_STREAMING = {"unknown_protocol": InvalidRequest, **PLACES}


class RunController(Controller):
    path = "/runs/{run_id:uuid}"
    tags = ("runs",)
    runs: RunAccess
    protocols: ProtocolRegistry
    streaming: StreamSettings

    @get(scope=Scope.CONVERSATIONS_READ)
    async def read_run(self, request: EdgeRequest, run_id: FromPath[UUID]) -> Run:
        """Read a run: how far it is, or how it ended and what it cost."""
        return await self.runs.get(request.principal, run_id)

    @post(
        "/cancel",
        status_code=200,
        otherwise={202: Cancellation},
        problems={"run_ended": Conflict},
        scope=Scope.CONVERSATIONS_WRITE,
    )
    async def cancel_run(
        self, request: EdgeRequest, run_id: FromPath[UUID], idempotency_key: KeyHeader = None
    ) -> Response[Cancellation]:
        """Cancel a run, wherever it runs, and close its connection to the model provider.

        What it has said so far is kept. Answers with the receipt as soon as the run has ended; with 202 and without a
        receipt if that takes longer than some seconds, and then the run still ends as soon as it can. A run that was
        cancelled before is answered with the same receipt again, so a key changes nothing here.
        """
        key_of(request, idempotency_key)
        cancellation = cancellation_of(await self.runs.cancel(request.principal, run_id))
        return Response(cancellation, status_code=200 if cancellation.is_complete else 202)

    @get("/stream", frames=FRAMES, otherwise={204: None}, problems=_STREAMING, scope=Scope.CONVERSATIONS_READ)
    async def stream_run(
        self,
        request: EdgeRequest,
        run_id: FromPath[UUID],
        protocol: ProtocolName = "messages",
        after: After = None,
        last_event_id: LastEventId = None,
    ) -> ASGIApp:
        """Follow a run as server-sent events, from its beginning or from after an event that the client has.

        Any number of clients may follow one run, each in its own protocol and from its own place. The stream ends with
        the run's last event, or with the one at which it waits for a person. In the protocol `messages` that is
        `message_end`; the first frame is `message_start`, or `snapshot` where the run's beginning is not kept any more.
        Who has the last event already gets 204, which tells an EventSource to stop coming back.
        """
        wire = self.protocols.get(protocol)
        feed = await self.runs.follow(request.principal, run_id, place_of(last_event_id, after))
        return nothing_follows() if feed is None else afterwards(RunStream(feed, wire, self.streaming))

    @get("/events", answers=[list[AnyEvent]], problems=PLACES, scope=Scope.CONVERSATIONS_READ)
    async def list_events(
        self, request: EdgeRequest, run_id: FromPath[UUID], after: After = None, limit: _EventLimit = 200
    ) -> Response[bytes]:
        """List a run's stored events, oldest first, as in the stream protocol `events`.

        Events of a run that is active are stored a moment after they were streamed. Of a run that ended long ago only
        the last event may be kept.
        """
        place = place_of(None, after)
        events = await self.runs.events(request.principal, run_id, place, limit=limit + 1)
        shown = events[:limit]
        body = b"[" + b",".join(map(canonical_json, shown)) + b"]"
        link = next_link(request, "after", shown[-1].id if len(events) > limit else None)
        return Response(body, media_type="application/json", headers=link)


class ConversationRunController(Controller):
    path = "/conversations/{conversation_id:uuid}"
    tags = ("runs",)
    runs: RunAccess
    protocols: ProtocolRegistry
    streaming: StreamSettings

    @get("/runs", scope=Scope.CONVERSATIONS_READ)
    async def list_runs(
        self,
        request: EdgeRequest,
        conversation_id: FromPath[UUID],
        status: FromQuery[RunStatus | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response[list[Run]]:
        """List a conversation's runs, oldest first.

        With `status=queued`: those that wait for the runs before them. Cancelling one takes its message back.
        """
        page = await self.runs.list(request.principal, conversation_id, status=status, limit=limit, cursor=cursor)
        return answer_page(request, page)

    @post("/cancel", status_code=200, scope=Scope.CONVERSATIONS_WRITE)
    async def cancel_conversation(
        self, request: EdgeRequest, conversation_id: FromPath[UUID], idempotency_key: KeyHeader = None
    ) -> list[Cancellation]:
        """Cancel everything that runs or waits in a conversation.

        Answers with what was cancelled: nothing, if nothing was there. A key therefore changes nothing here.
        """
        key_of(request, idempotency_key)
        return [cancellation_of(run) for run in await self.runs.cancel_conversation(request.principal, conversation_id)]

    @get("/events", frames=FRAMES, otherwise={204: None}, problems=_STREAMING, scope=Scope.CONVERSATIONS_READ)
    async def stream_conversation(
        self,
        request: EdgeRequest,
        conversation_id: FromPath[UUID],
        protocol: ProtocolName = "messages",
        after: After = None,
        last_event_id: LastEventId = None,
    ) -> ASGIApp:
        """Follow all runs of a conversation as server-sent events, one run after the other.

        Made for an EventSource that stays open: begins with the run that is active, if there is one, or after the event
        that the client has, and goes on with every later run. Each run is told from its first event, or a `snapshot`,
        to its last; where one waits for a person, the stream waits with it. Ends when the conversation is closed; 204
        tells an EventSource that nothing will follow.
        """
        wire = self.protocols.get(protocol)
        feed: Feed | None = await self.runs.follow_conversation(
            request.principal, conversation_id, place_of(last_event_id, after)
        )
        return nothing_follows() if feed is None else afterwards(RunStream(feed, wire, self.streaming))
