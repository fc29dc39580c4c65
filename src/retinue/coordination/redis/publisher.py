"""Sends what waits in the outbox: the only writer of this process."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from redis.exceptions import ResponseError

from retinue.coordination.redis import entry
from retinue.coordination.redis.connection import Address, Command, Unreachable
from retinue.coordination.redis.health import Health
from retinue.coordination.redis.keys import signal_channel, wake_key
from retinue.coordination.redis.outbox import Outbox, Outgoing
from retinue.coordination.redis.worker import Worker
from retinue.domain.events import RecordedEvent

PAUSE_SECONDS = 0.004
"""Between two flushes. The first event after a silence does not wait; what comes in a burst goes together."""
LIVE_SECONDS = 120
"""How long the stream of an open run lives on after its process was last heard of."""
RENEW_SECONDS = 30
ENDED_SECONDS = 60
"""How long the stream of a closed run is kept for those who have not read it yet."""

Sent = tuple[Outgoing, list[RecordedEvent], float]

_log = structlog.get_logger(__name__)


class Publisher(Worker):
    name = "publisher"

    def __init__(
        self, address: Address, health: Health, *, process: str, on_fenced: Callable[[Outgoing], None]
    ) -> None:
        super().__init__(address, health)
        self.outbox = Outbox(self._notify)
        self._channel = signal_channel(address.database)
        self._wake_key = wake_key(process)
        self._on_fenced = on_fenced
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._wakes_reader = False

    def wake_reader(self) -> None:
        """Soon. By a stream rather than by CLIENT UNBLOCK, which many servers keep for administrators."""
        self._wakes_reader = True
        self._notify()

    async def drain(self) -> None:
        """Wait until everything is sent. Only while it runs."""
        self._idle.clear()
        self._notify()
        await self._idle.wait()

    async def work(self) -> None:
        self.outbox.drop_old()
        # A write, because a server that is full or only a replica answers everything else.
        self._require(await self.link.call(*self._wake_commands()))
        self.part.works()
        renewed = asyncio.get_running_loop().time()
        while True:
            await self._wait(renewed + RENEW_SECONDS)
            now = asyncio.get_running_loop().time()
            is_due = now >= renewed + RENEW_SECONDS
            await self._flush(renew=is_due)
            if is_due:
                renewed = now
            await asyncio.sleep(PAUSE_SECONDS)

    def _notify(self) -> None:
        self._wanted.set()

    async def _wait(self, until: float) -> None:
        if self.outbox.is_empty:
            self._idle.set()
        try:
            async with asyncio.timeout_at(until):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _flush(self, *, renew: bool) -> None:
        self._wanted.clear()
        self.outbox.drop_old()
        signals, sent = self.outbox.take_signals(), [(run, run.take(), run.since) for run in self.outbox.take_runs()]
        try:
            commands, owners = self._commands(sent, signals, renew=renew)
            if not commands:
                return
            answers = await self.link.call(*commands)
        except BaseException:
            self._put_back(sent, signals)
            raise
        await self._judge(owners, answers)
        self.part.works()

    def _commands(
        self, sent: list[Sent], signals: list[tuple[float, bytes]], *, renew: bool
    ) -> tuple[list[Command], list[Sent | None]]:
        """Commands, and beside each one whose events it carries."""
        commands: list[Command] = self._wake_commands() if self._wakes_reader else []
        self._wakes_reader = False
        owners: list[Sent | None] = [None] * len(commands)
        for run, events, since in sent:
            for part in entry.ranges(events):
                try:
                    commands.append(entry.add(run.key, part))
                except Exception as error:
                    _log.warning("events_not_publishable", run_id=str(run.run_id), error=type(error).__name__)
                    continue
                owners.append((run, list(part), since))
            commands.append(("PEXPIRE", run.key, 1000 * (LIVE_SECONDS if run.is_open else ENDED_SECONDS)))
            owners.append(None)
        others: list[Command] = [("PUBLISH", self._channel, payload) for _, payload in signals]
        if renew:
            others += [("PEXPIRE", key, 1000 * LIVE_SECONDS) for key in self.outbox.open_keys]
        return commands + others, owners + [None] * len(others)

    async def _judge(self, owners: list[Sent | None], answers: list[Any]) -> None:
        """What to do about refusals.

        Raises:
            Unreachable: the server takes nothing at present.
        """
        refused: dict[str, list[Sent]] = {}
        late: dict[str, Outgoing] = {}
        for sent, answer in zip(owners, answers, strict=True):
            if not isinstance(answer, ResponseError):
                continue
            reason = _reason(answer)
            if sent is None:
                if reason != "WRONGTYPE":
                    refused.setdefault(reason, [])
            elif reason == "LATE":
                late[sent[0].key] = sent[0]
            else:
                refused.setdefault(reason, []).append(sent)
        for run in late.values():
            await self._look_into(run)
        for sent_again in refused.values():
            self._put_back(sent_again, [])
        if wrong := refused.pop("WRONGTYPE", []):
            await self.link.call(*[("DEL", run.key) for run, _, _ in wrong])
            self._notify()
        if refused:
            raise Unreachable(next(iter(refused)))

    async def _look_into(self, run: Outgoing) -> None:
        """Events were not newer than the stream's newest: another process has the run, or they were sent before, or
        somebody else writes into our key."""
        (newest,) = await self.link.call(("XREVRANGE", run.key, "+", "-", "COUNT", 1))
        if isinstance(newest, ResponseError) or not newest:
            return
        try:
            position = entry.read(newest[0], run.run_id)[-1].position
        except entry.NotAnEntry:
            await self.link.call(("DEL", run.key))
            return
        if position.attempt > run.attempt:
            self.outbox.forget(run)
            self._on_fenced(run)

    def _put_back(self, sent: list[Sent], signals: list[tuple[float, bytes]]) -> None:
        for run, events, since in reversed(sent):
            self.outbox.put_back(run, events, since)
        self.outbox.put_signals_back(signals)
        self._notify()

    def _wake_commands(self) -> list[Command]:
        return [("XADD", self._wake_key, "MAXLEN", 1, "*", "w", 1), ("PEXPIRE", self._wake_key, 1000 * LIVE_SECONDS)]

    @staticmethod
    def _require(answers: list[Any]) -> None:
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise Unreachable(_reason(answer))


def _reason(refusal: ResponseError) -> str:
    """The kind of a refusal, in one word. redis-py takes the server's code off where it has a class for it."""
    text = str(refusal)
    if "equal or smaller" in text:
        return "LATE"
    return text.split(" ", 1)[0] if type(refusal) is ResponseError else type(refusal).__name__
