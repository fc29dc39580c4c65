"""`/runs/{id}/continue/stream`, `/password/stream` and `/resolve-effect`."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, post
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.types import ASGIApp

from retinue.domain import errors
from retinue.domain.access import Scope
from retinue.domain.runs import Run
from retinue.domain.secret import Secret
from retinue.http.afterwards import afterwards
from retinue.http.idempotency import KeyHeader, answer_with, key_of
from retinue.http.requests import EdgeRequest
from retinue.http.sse import Feed, RunStream, StreamSettings
from retinue.http.streams import EVENT_ID, FRAMES, PLACES, ProtocolName, place_of
from retinue.protocols.registry import ProtocolRegistry
from retinue.resources.approvals.decisions import DECIDING, NOT_BOOLEAN, read_with_decision
from retinue.resources.runs.resuming.schemas import ContinueBody, EffectResolution, PasswordBody
from retinue.resources.runs.resuming.service import ResumingService

_LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="The id of the last event that a client saw. If it came after the pause, the request goes on there "
        "and decides nothing.",
        schema_extra=EVENT_ID,
    ),
]
_KEYED = {"idempotency_key_reused": errors.InvalidRequest}
_STREAMING = {
    **_KEYED,
    **PLACES,
    "unknown_protocol": errors.InvalidRequest,
    "approval_expired": errors.Conflict,
    "too_many_runs": (errors.RateLimited, errors.Unavailable),
    "shutting_down": errors.Unavailable,
}


class ResumingController(Controller):
    path = "/runs/{run_id:uuid}"
    tags = ("runs",)
    resuming: ResumingService
    protocols: ProtocolRegistry
    streaming: StreamSettings

    @post(
        "/continue/stream",
        status_code=200,
        frames=FRAMES,
        accepts=ContinueBody,
        problems=_STREAMING
        | DECIDING
        | NOT_BOOLEAN
        | {"approval_pending": errors.Conflict, "idempotency_key_in_use": errors.Conflict},
        scope=Scope.APPROVALS_DECIDE,
    )
    async def continue_run(
        self,
        request: EdgeRequest,
        run_id: FromPath[UUID],
        protocol: ProtocolName = "messages",
        last_event_id: _LastEventId = None,
        idempotency_key: KeyHeader = None,
    ) -> ASGIApp:
        """Follow a run as server-sent events from a decision on.

        Decides first if `approved` is given; otherwise the approval has to be decided already. The run goes on at the
        call that was waiting: the model is not asked again for what it had planned. The stream ends like every other
        stream of the run: with its end or with its next pause.
        """
        data = await read_with_decision(request, ContinueBody)
        key = key_of(request, idempotency_key, data)
        wire = self.protocols.get(protocol)
        feed = await self.resuming.go_on(request.principal, run_id, data, key, place_of(last_event_id, None))
        return afterwards(RunStream(feed, wire, self.streaming))

    @post(
        "/password/stream",
        status_code=200,
        frames=FRAMES,
        problems=_STREAMING | {"password_not_awaited": errors.Conflict},
        scope=Scope.APPROVALS_DECIDE,
    )
    async def give_password(
        self,
        *,
        request: EdgeRequest,
        run_id: FromPath[UUID],
        data: JSONBody[PasswordBody],
        protocol: ProtocolName = "messages",
        last_event_id: _LastEventId = None,
        idempotency_key: KeyHeader = None,
    ) -> ASGIApp:
        """Give the password that a run waits for, and follow it from there as server-sent events.

        It is used for this one call and is neither stored nor logged nor shown to anybody. A wrong one is asked for
        again a few times. A repeated request with the same `Idempotency-Key` follows the run and gives no second
        password, whatever it carries.
        """
        request.forget_body()
        key = key_of(request, idempotency_key, data.asked_for)
        wire = self.protocols.get(protocol)
        place = place_of(last_event_id, None)
        password = Secret(data.password)
        feed: Feed = await self.resuming.give_password(
            request.principal, run_id, data.approval_id, password, key=key, place=place
        )
        return afterwards(RunStream(feed, wire, self.streaming))

    @post(
        "/resolve-effect",
        status_code=200,
        problems={**_KEYED, "effect_known": errors.Conflict, "run_ended": errors.Conflict},
        replays=True,
        scope=Scope.APPROVALS_DECIDE,
    )
    async def resolve_effect(
        self,
        request: EdgeRequest,
        run_id: FromPath[UUID],
        data: JSONBody[EffectResolution],
        idempotency_key: KeyHeader = None,
    ) -> Response[Run]:
        """Say what became of a call whose outcome nobody knew. The run goes on with that."""
        key = key_of(request, idempotency_key, data)
        return answer_with(await self.resuming.resolve(request.principal, run_id, data, key))
