"""One tool call really made: in its time, with retries where they cannot do harm."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import structlog
import tenacity

from retinue.domain.errors import PasswordRefused, ToolError
from retinue.domain.policy import RunLimits
from retinue.domain.tools import Effect, ToolErrorKind
from retinue.runs.calls.results import fit_result
from retinue.runs.calls.toolbox import Prepared
from retinue.runs.trying import tried
from retinue.tools.base import Invocation

_log = structlog.get_logger(__name__)

MAX_TRIES = 3
FIRST_WAIT = 1.0
"""Seconds before the second try; doubled before the third. Up to half of it comes on top, so that calls which failed
together are not made together again."""
MAX_RETRY_AFTER = 20.0
"""A tool that asks for a longer pause than this is not called again."""
TIDYING_SECONDS = 3.0
"""How long a cancelled tool may take before its run goes on without it."""

_left_behind: set[asyncio.Task[Any]] = set()
"""Tools that do not listen; kept until they end, because nobody else refers to them."""


class Succeeded(msgspec.Struct, frozen=True):
    result: Any


class NotDone(msgspec.Struct, frozen=True):
    """It failed, and surely changed nothing."""

    code: str
    detail: str


class Unknown(msgspec.Struct, frozen=True):
    """It failed, and nobody can know whether its effect took place."""

    detail: str


class WrongPassword(msgspec.Struct, frozen=True):
    """Nothing has happened; another password may be right."""


CallEnd = Succeeded | NotDone | Unknown | WrongPassword


async def invoke(
    prepared: Prepared,
    invocation: Invocation,
    limits: RunLimits,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw: Callable[[], float] = random.random,
) -> CallEnd:
    """Make a call that was allowed. Raises nothing but the cancellation of its caller, which leaves the outcome open.

    Transient failures are tried again, at most three times in all, unless the call is a write. All tries together have
    `limits.tool_seconds`, and none is begun that could not last as long as the one before it.

    Args:
        draw: a random number from 0 to 1.
    """
    try:
        return Succeeded(await _with_retries(prepared, invocation, limits, sleep, draw))
    except PasswordRefused:
        return WrongPassword()
    except ToolError as error:
        if error.took_effect is False or prepared.assessment.effect is Effect.READ:
            return NotDone(error.problem_code, error.detail)
        return Unknown(error.detail)


async def _with_retries(
    prepared: Prepared,
    invocation: Invocation,
    limits: RunLimits,
    sleep: Callable[[float], Awaitable[None]],
    draw: Callable[[], float],
) -> Any:
    tries = MAX_TRIES if prepared.assessment.effect is not Effect.WRITE else 1
    budget = _Budget(limits.tool_seconds)

    async def once() -> Any:
        return await _once(prepared, invocation, limits, budget.begin())

    def retrying() -> tenacity.AsyncRetrying:
        stop = tenacity.stop_after_attempt(tries) | budget
        return tenacity.AsyncRetrying(stop=stop, wait=partial(_pause, draw), sleep=sleep)

    return await tried(once, _may_pass, retrying)


class _Budget(tenacity.stop.stop_base):
    """The time of one call, for all its tries. It stops where less is left, after the pause, than the last try took."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._until = self._clock() + seconds
        self._begun = 0.0

    def begin(self) -> float:
        """The seconds that are left for a try that begins now."""
        self._begun = self._clock()
        return self._until - self._begun

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        now = self._clock()
        return self._until - now - retry_state.upcoming_sleep < now - self._begun


def _pause(draw: Callable[[], float], state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, ToolError) else None
    doubled: float = FIRST_WAIT * 2.0 ** (state.attempt_number - 1)
    return max(doubled, asked or 0.0) + draw() * doubled / 2


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, ToolError) or error.kind is not ToolErrorKind.TRANSIENT:
        return False
    return error.retry_after is None or error.retry_after <= MAX_RETRY_AFTER


async def _once(prepared: Prepared, invocation: Invocation, limits: RunLimits, left: float) -> Any:
    tool = prepared.tool
    seconds = min(tool.timeout, limits.tool_seconds)
    # In a task of its own, which can be left behind: a tool that does not listen must not hold up its run.
    task = asyncio.create_task(_guarded(prepared, invocation), name=f"tool-{tool.name}")
    try:
        done, _ = await asyncio.wait({task}, timeout=min(seconds, left))
    except asyncio.CancelledError:
        await _stop(task, invocation)
        raise
    if not done:
        await _stop(task, invocation)
        detail = f"The tool took longer than {seconds:g} seconds."
        raise ToolError(detail, kind=ToolErrorKind.TRANSIENT, code="tool_timeout")
    if task.cancelled():  # by itself: nobody else has the task
        raise _broken(prepared, invocation, None)
    result, error = task.result()
    match error:
        case None:
            return _fit(result, limits)
        case ToolError():
            raise error
        case TimeoutError():
            raise ToolError("The tool gave up waiting.", kind=ToolErrorKind.TRANSIENT, code="tool_timeout")
        case ConnectionError():
            raise ToolError("The connection failed.", kind=ToolErrorKind.TRANSIENT, code="tool_unreachable")
        case _:
            raise _broken(prepared, invocation, error)


async def _guarded(prepared: Prepared, invocation: Invocation) -> tuple[Any, BaseException | None]:
    """What came of it, as values: some exceptions would end more than the tool's task."""
    try:
        return await prepared.tool.run(prepared.arguments, invocation), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


async def _stop(task: asyncio.Task[Any], invocation: Invocation) -> None:
    """Cancel a tool and wait for it to tidy up, but not for ever."""
    task.cancel()
    await asyncio.wait({task}, timeout=TIDYING_SECONDS)
    if not task.done():
        _log.error("tool_left_behind", task=task.get_name(), run_id=str(invocation.caller.run_id))
        _left_behind.add(task)
        task.add_done_callback(_left_behind.discard)


def _broken(prepared: Prepared, invocation: Invocation, error: BaseException | None) -> ToolError:
    # The password must not come out with a traceback's text.
    trace = None if invocation.password else error
    _log.error("tool_crashed", tool=prepared.tool.name, run_id=str(invocation.caller.run_id), exc_info=trace)
    return ToolError("The tool broke.", code="tool_failed")


def _fit(result: Any, limits: RunLimits) -> Any:
    """The call was made: what is wrong with its result must not make it look as if it had not been."""
    try:
        return fit_result(result, limits.result_chars)
    except (TypeError, ValueError, RecursionError):
        return "[the tool's result cannot be shown]"
