"""Reads all followed runs over one connection."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from retinue.coordination.redis import entry
from retinue.coordination.redis.connection import Address, Command, Unreachable
from retinue.coordination.redis.followed import Followed, Followers
from retinue.coordination.redis.health import Health
from retinue.coordination.redis.keys import wake_key
from retinue.coordination.redis.worker import Worker

BLOCK_SECONDS = 0.5
BACKLOG_ENTRIES = 128
"""How far a new follower's run is read back. Together they cover what the database does not have yet."""
READ_ENTRIES = 64
"""Of one run at once."""
RUNS_AT_ONCE = 32
"""New runs whose backlog is read at once."""
DECODED_AT_ONCE = 32
"""Entries, before others have their turn."""
PAUSE_PER_RUN = 0.000_05
"""Every read names all followed runs, so the more there are, the more should be answered by one read."""
LONGEST_PAUSE = 0.01
MISTRUST_SECONDS = 1.0
"""How long a key is left alone that holds something else than a run's events."""


class Reader(Worker):
    name = "reader"

    def __init__(
        self, address: Address, health: Health, *, process: str, window: int, wake: Callable[[], None]
    ) -> None:
        super().__init__(address, health)
        self.followers = Followers(window, self._notify)
        self._wake = wake
        self._wake_key = wake_key(process)
        self._wake_id: bytes = b"0-0"
        self._wanted = asyncio.Event()
        self._is_blocked = False
        self._decoded = 0

    async def work(self) -> None:
        self._require(await self.link.call(("PING",)))
        self.part.works()
        while True:
            self._wanted.clear()
            runs = self.followers.due(asyncio.get_running_loop().time())
            new = [run for run in runs if run.cursor is None]
            if new:
                await self._read_backlogs(new[:RUNS_AT_ONCE])
            elif self.followers:
                await self._read_on(runs)
            else:
                await self._wanted.wait()

    def _notify(self) -> None:
        self._wanted.set()
        if self._is_blocked:
            self._wake()

    async def _read_backlogs(self, runs: Sequence[Followed]) -> None:
        commands: list[Command] = [("XREVRANGE", run.key, "+", "-", "COUNT", BACKLOG_ENTRIES) for run in runs]
        answers = await self.link.call(*commands)
        for run, answer in zip(runs, answers, strict=True):
            if not isinstance(answer, ResponseError):
                run.cursor = b"0-0"
                await self._fill(run, reversed(answer))
            elif _is_wrong_type(answer):
                self._mistrust(run)
            else:
                raise Unreachable(type(answer).__name__)
        self.part.works()

    async def _read_on(self, runs: Sequence[Followed]) -> None:
        (answer,) = await self._blocking(runs)
        if isinstance(answer, ResponseError):
            if not _is_wrong_type(answer):
                raise Unreachable(type(answer).__name__)
            await self._find_wrong_type(runs)
            return
        self.part.works()
        by_key = {run.key.encode(): run for run in runs}
        for key, entries in answer or ():
            if run := by_key.get(key):
                await self._fill(run, entries)
            elif entries:
                self._wake_id = entries[-1][0]
        if answer:
            await asyncio.sleep(min(LONGEST_PAUSE, PAUSE_PER_RUN * len(runs)))

    async def _blocking(self, runs: Sequence[Followed]) -> list[Any]:
        keys: list[str] = [self._wake_key, *(run.key for run in runs)]
        ids: list[bytes] = [self._wake_id, *(run.cursor or b"0-0" for run in runs)]
        block = int(BLOCK_SECONDS * 1000)
        self._is_blocked = True
        try:
            return await self.link.call(
                ("XREAD", "COUNT", READ_ENTRIES, "BLOCK", block, "STREAMS", *keys, *ids), wait=BLOCK_SECONDS
            )
        finally:
            self._is_blocked = False

    async def _fill(self, run: Followed, entries: Iterable[Any]) -> None:
        is_ours = True
        for item in entries:
            if run.channel.is_closed or not self.followers.is_followed(run):
                return
            is_ours = self._publish(run, item)
            self._decoded += 1
            if self._decoded % DECODED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if not is_ours:
            self._mistrust(run)  # or it would be read again at once, as only our own entries move the cursor

    def _publish(self, run: Followed, item: Any) -> bool:
        try:
            events = entry.read(item, run.run_id)
        except entry.NotAnEntry:
            return False
        run.channel.publish(events)
        run.cursor = item[0]
        if events[-1].is_terminal:
            run.channel.close()
        return True

    async def _find_wrong_type(self, runs: Sequence[Followed]) -> None:
        """One wrong key makes the whole read fail. Looking at each by itself finds it."""
        await self.link.call(("DEL", self._wake_key))
        for run in runs:
            run.cursor = None
        await asyncio.sleep(LONGEST_PAUSE)

    @staticmethod
    def _mistrust(run: Followed) -> None:
        run.not_before = asyncio.get_running_loop().time() + MISTRUST_SECONDS

    @staticmethod
    def _require(answers: list[Any]) -> None:
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise Unreachable(type(answer).__name__)


def _is_wrong_type(refusal: ResponseError) -> bool:
    return str(refusal).startswith("WRONGTYPE")
