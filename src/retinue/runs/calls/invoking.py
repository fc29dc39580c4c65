"""One tool call really made: in its time, with retries where they cannot do harm."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
import tenacity

from retinue.domain.errors import PasswordRefused, ToolError
from retinue.domain.policy import RunLimits
from retinue.domain.tools import Effect, ToolErrorKind
from retinue.runs.calls.results import fit_result
from retinue.runs.calls.toolbox import Prepared
from retinue.tools.base import Invocation

_log = structlog.get_logger(__name__)

MAX_TRIES = 3
FIRST_WAIT = 1.0
"""Seconds before the second try; doubled before the third."""
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
) -> CallEnd:
    """Make a call that was allowed. Raises nothing but the cancellation of its caller, which leaves the outcome open.

    Transient failures are tried again, at most three times in all, unless the call is a write.
    """
    try:
        return Succeeded(await _with_retries(prepared, invocation, limits, sleep))
    except PasswordRefused:
        return WrongPassword()
    except ToolError as error:
        if error.took_effect is False or prepared.assessment.effect is Effect.READ:
            return NotDone(error.problem_code, error.detail)
        return Unknown(error.detail)


async def _with_retries(
    prepared: Prepared, invocation: Invocation, limits: RunLimits, sleep: Callable[[float], Awaitable[None]]
) -> Any:
    async for attempt in tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(MAX_TRIES if prepared.assessment.effect is not Effect.WRITE else 1),
        wait=tenacity.wait_exponential(multiplier=FIRST_WAIT),
        retry=tenacity.retry_if_exception(_may_pass),
        sleep=sleep,
        reraise=True,
    ):
        with attempt:
            return await _once(prepared, invocation, limits)
    raise AssertionError("tenacity returns or raises")


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ToolError) and error.kind is ToolErrorKind.TRANSIENT


async def _once(prepared: Prepared, invocation: Invocation, limits: RunLimits) -> Any:
    tool = prepared.tool
    seconds = min(tool.timeout, limits.tool_seconds)
    # In a task of its own, which can be left behind: a tool that does not listen must not hold up its run.
    task = asyncio.create_task(_guarded(prepared, invocation), name=f"tool-{tool.name}")
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
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
