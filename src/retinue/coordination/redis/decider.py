"""Asks the server about buckets over one connection: what is asked at the same time goes together."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog
from redis.exceptions import ResponseError

from retinue.coordination.rates import WINDOW, price
from retinue.coordination.redis.connection import Address, Command, Unreachable
from retinue.coordination.redis.health import Health
from retinue.coordination.redis.keys import PROCESSES, rate_key
from retinue.coordination.redis.worker import Worker
from retinue.domain.limits import Bucket

PATIENCE = 0.5
"""Seconds that anybody waits for a decision. A server that needs longer is not asked until it is quicker."""
AT_ONCE = 128
MAX_WAITING = 4096
CENSUS_SECONDS = 5.0
"""Between two counts of the processes."""
ABSENT_SECONDS = 15

DECIDE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = tonumber(ARGV[1])
local answer = {1}
for i, key in ipairs(KEYS) do
  local used = math.max((tonumber(redis.call('GET', key)) or now) - now, 0)
  if used + ARGV[2 * i] > window then answer[1] = 0 end
  answer[i + 1] = used
end
if answer[1] == 1 then
  for i, key in ipairs(KEYS) do
    local cost = tonumber(ARGV[2 * i + 1])
    local used = math.max(answer[i + 1] + cost, 0)
    if used == 0 then
      redis.call('DEL', key)
    elseif cost ~= 0 then
      redis.call('SET', key, string.format('%.0f', now + used), 'PX', string.format('%.0f', math.ceil(used / 1000)))
    end
    answer[i + 1] = used
  end
end
return answer
"""
"""One decision, by the server's clock: for each bucket how much has to be there, and how much is taken then. A bucket
is stored as the microsecond at which it is full again, and expires then. Answers whether it is allowed, and how long
each bucket needs.
"""

COUNT = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""

_NOTHING = -(2**62)
"""Less than that is always there."""
_log = structlog.get_logger(__name__)


class Question:
    """One decision; `answer` is None where nobody waits for it."""

    def __init__(self, command: Command, answer: "asyncio.Future[list[int]] | None") -> None:
        self.command = command
        self.answer = answer

    @property
    def is_wanted(self) -> bool:
        return self.answer is None or not self.answer.done()

    def settle(self, found: Any) -> None:
        if self.answer is None or self.answer.done():
            return
        if isinstance(found, BaseException):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


class Decider(Worker):
    name = "rates"

    def __init__(self, address: Address, health: Health, *, process: str) -> None:
        super().__init__(address, health)
        self._process = process
        self._waiting: deque[Question] = deque()
        self._wanted = asyncio.Event()
        self._due = 0.0
        self.is_slow = False
        """The server is away or takes too long: do not wait for it."""
        self.processes = 1
        """Those seen recently, this one included."""

    @property
    def takes_questions(self) -> bool:
        return self.is_running and not self.is_slow and len(self._waiting) < MAX_WAITING

    def ask(self, buckets: Sequence[Bucket], needs: Sequence[int], amount: int) -> "asyncio.Future[list[int]]":
        """The answer of the script; raises `Unreachable` if there is none."""
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._add(Question(_command(buckets, needs, amount), answer))
        return answer

    def tell(self, buckets: Sequence[Bucket], amount: int) -> None:
        """Take so much whatever there is, and nobody waits for it. A negative amount is put back."""
        self._add(Question(_command(buckets, [_NOTHING] * len(buckets), amount), None))

    async def work(self) -> None:
        try:
            await self._serve()
        except BaseException as error:
            self.is_slow = True
            reason = error if isinstance(error, Unreachable) else Unreachable(type(error).__name__)
            while self._waiting:
                self._waiting.popleft().settle(reason)
            raise

    async def _serve(self) -> None:
        time = asyncio.get_running_loop().time
        self._due = time()
        while True:
            if time() >= self._due:
                await self._count_processes()
                self._due = time() + (PATIENCE if self.is_slow else CENSUS_SECONDS)
            try:
                async with asyncio.timeout_at(self._due):
                    await self._wanted.wait()
            except TimeoutError:
                continue
            self._wanted.clear()
            await self._decide_all()
            if self.is_slow:
                self._due = min(self._due, time() + PATIENCE)

    async def _decide_all(self) -> None:
        while self._waiting:
            questions = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            if wanted := [question for question in questions if question.is_wanted]:
                await self._decide(wanted)

    async def _decide(self, questions: Sequence[Question]) -> None:
        try:
            answers = await self.link.call(*(question.command for question in questions))
        except BaseException as error:
            for question in questions:
                question.settle(Unreachable(type(error).__name__))
            raise
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, ResponseError):
                _log.warning("rate_not_decided", reason=type(answer).__name__)
                question.settle(Unreachable(type(answer).__name__))
            else:
                question.settle(answer)

    async def _count_processes(self) -> None:
        """Also finds out whether the server is quick enough to be asked."""
        began = asyncio.get_running_loop().time()
        (count,) = await self.link.call(("EVAL", COUNT, 1, PROCESSES, self._process, ABSENT_SECONDS))
        if isinstance(count, ResponseError):
            raise Unreachable(type(count).__name__)
        self.processes = max(int(count), 1)
        self.is_slow = asyncio.get_running_loop().time() - began >= PATIENCE
        self.part.works()

    def count_soon(self) -> None:
        """Look for the other processes now."""
        self._due = 0.0
        self._wanted.set()

    def suspect(self) -> None:
        """Somebody has waited for too long."""
        if not self.is_slow:
            _log.warning("rates_slow", process=self._process)
        self.is_slow = True
        self._wanted.set()

    def _add(self, question: Question) -> None:
        self._waiting.append(question)
        self._wanted.set()


def _command(buckets: Sequence[Bucket], needs: Sequence[int], amount: int) -> Command:
    keys = [rate_key(bucket) for bucket in buckets]
    numbers = (each for bucket, needed in zip(buckets, needs, strict=True) for each in (needed, price(bucket, amount)))
    return ("EVAL", DECIDE, len(keys), *keys, WINDOW, *numbers)
