"""Live tails across processes."""

from uuid import UUID

from retinue.coordination.base import IDLE_SECONDS, Batch, EventLog, Sink, Tail
from retinue.coordination.channel import LiveRuns, LocalTail
from retinue.coordination.redis.followed import Followed, Followers
from retinue.coordination.redis.outbox import Outbox
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position


class RedisEventLog(EventLog):
    """Runs that are live here are followed in memory, and sent to whoever follows them elsewhere."""

    def __init__(self, live: LiveRuns, outbox: Outbox, followers: Followers) -> None:
        self._live = live
        self._outbox = outbox
        self._followers = followers

    def open(self, tenant_id: UUID, run_id: UUID) -> None:
        self._live.open(tenant_id, run_id, self._followers.adopt(tenant_id, run_id))
        self._outbox.open(tenant_id, run_id)

    def publish(self, *events: RecordedEvent, at_once: bool = False) -> None:
        for event in self._live.publish(events, at_once=at_once):
            self._outbox.add(event)

    def close(self, run_id: UUID, *, broken: bool = False) -> None:
        if self._live.close(run_id, broken=broken):
            self._outbox.close(run_id)

    def tail(self, tenant_id: UUID, run_id: UUID) -> Tail:
        channel = self._live.get(tenant_id, run_id)
        if channel is not None:
            return LocalTail(channel)
        return RemoteTail(self._followers, tenant_id, run_id)


class RemoteTail(Tail):
    def __init__(self, followers: Followers, tenant_id: UUID, run_id: UUID) -> None:
        self._followers = followers
        self._tenant_id = tenant_id
        self._run_id = run_id
        self._followed: Followed | None = None
        self._patience = 0.0

    async def take(self, after: Position) -> Batch:
        if self._followed is None:
            return Batch(is_closed=True)
        return await self._followed.channel.take(after, self._next_patience())

    async def pour(self, after: Position, sink: Sink) -> Batch:
        if self._followed is None:
            return Batch(is_closed=True)
        return await self._followed.channel.pour(after, sink, self._next_patience())

    def _next_patience(self) -> float:
        patience, self._patience = self._patience, IDLE_SECONDS
        return patience

    async def __aenter__(self) -> "RemoteTail":
        self._followed = self._followers.join(self._tenant_id, self._run_id)
        return self

    async def __aexit__(self, *exc: object) -> None:
        followed, self._followed = self._followed, None
        if followed is not None:
            self._followers.leave(followed)
