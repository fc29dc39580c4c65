"""One call really made: its time, its retries, and what its failure means."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from retinue.domain.errors import InvalidRequest, PasswordRefused, ProviderTimeout, ToolError
from retinue.domain.ids import new_id
from retinue.domain.policy import RunLimits
from retinue.domain.secret import Secret
from retinue.domain.tools import ToolErrorKind
from retinue.runs.calls.gate import Allow
from retinue.runs.calls.invoking import CallEnd, NotDone, Succeeded, Unknown, WrongPassword, invoke
from retinue.runs.calls.toolbox import Prepared
from retinue.tools.base import Caller, Invocation
from tests.unit.runs.acting.tools import StubTool, Words, a_read, a_write, an_idempotent
from tests.unit.runs.doubles import DEADLINE, Gate

CALLER = Caller(tenant_id=new_id(), employee_id=new_id(), conversation_id=new_id(), run_id=new_id())
INVOCATION = Invocation(caller=CALLER, call_id="c1", idempotency_key="run:1")
BUSY = ToolError("Busy.", kind=ToolErrorKind.TRANSIENT, code="busy")
ONE_OF_EACH = [a_read, an_idempotent, a_write]


class Naps:
    """Instead of sleeping."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def made(
    tool: StubTool, *, invocation: Invocation = INVOCATION, naps: Naps | None = None, drawn: float = 0.0, **limits: Any
) -> CallEnd:
    prepared = Prepared(tool=tool, arguments=Words(), assessment=tool.assessment, ruling=Allow())
    async with asyncio.timeout(DEADLINE):
        return await invoke(prepared, invocation, RunLimits(**limits), sleep=naps or Naps(), draw=lambda: drawn)


async def forever() -> None:
    await asyncio.Event().wait()


async def gives_up() -> None:
    raise TimeoutError


@pytest.mark.parametrize("kind", ONE_OF_EACH)
async def test_what_a_tool_returns_is_the_result(kind: Any) -> None:
    tool = kind("t", {"hits": [1]})
    assert await made(tool) == Succeeded({"hits": [1]})
    assert tool.invocations == [INVOCATION]


async def test_a_result_is_cut_and_cleaned() -> None:
    assert await made(a_read("look", "x" * 20), result_chars=5) == Succeeded("xxxxx\n[cut off: 5 of 20 characters]")
    assert await made(a_read("look", {"a": "\x00"})) == Succeeded({"a": "\ufffd"})


async def test_what_cannot_be_shown_was_done_all_the_same() -> None:
    assert await made(a_write("send", object())) == Succeeded("[the tool's result cannot be shown]")


@pytest.mark.parametrize(("kind", "tries"), [(a_read, 3), (an_idempotent, 3), (a_write, 1)])
async def test_a_transient_fault_is_tried_again_except_for_writes(kind: Any, tries: int) -> None:
    tool, naps = kind("t", *[BUSY] * 5), Naps()
    end = await made(tool, naps=naps)
    assert (tool.times, naps.seconds) == (tries, [1.0, 2.0][: tries - 1])
    assert end == (NotDone("busy", "Busy.") if kind is a_read else Unknown("Busy."))
    assert {invocation.idempotency_key for invocation in tool.invocations} == {"run:1"}


async def test_calls_that_failed_together_are_not_made_together_again() -> None:
    naps = Naps()
    await made(a_read("look", *[BUSY] * 3), naps=naps, drawn=1.0)
    assert naps.seconds == [1.5, 3.0]


def busy_for(seconds: float) -> ToolError:
    return ToolError("Busy.", kind=ToolErrorKind.TRANSIENT, code="busy", retry_after=seconds)


@pytest.mark.parametrize(("asked", "naps"), [(0.0, [1.5, 3.0]), (7.0, [7.5, 8.0]), (20.0, [20.5, 21.0]), (20.1, [])])
async def test_the_pause_that_is_asked_for_is_kept(asked: float, naps: list[float]) -> None:
    tool, slept = a_read("look", *[busy_for(asked)] * 3), Naps()
    assert await made(tool, naps=slept, drawn=1.0) == NotDone("busy", "Busy.")
    assert (slept.seconds, tool.times) == (naps, 1 + len(naps))


async def test_a_pause_that_the_calls_time_has_no_room_for_ends_it() -> None:
    tool, naps = a_read("look", busy_for(7.0), "found"), Naps()
    assert await made(tool, naps=naps, tool_seconds=5.0) == NotDone("busy", "Busy.")
    assert (tool.times, naps.seconds) == (1, [])


@pytest.mark.parametrize(("seconds", "tries"), [(1.0, 1), (60.0, 3)])
async def test_no_try_is_begun_that_could_not_last_as_long_as_the_one_before(seconds: float, tries: int) -> None:
    """Otherwise a call that is slow to fail would take three times the time that it may take."""
    tool = a_read("look", *[forever] * 3, timeout=0.02)
    end = await made(tool, tool_seconds=seconds)
    assert (tool.times, end) == (tries, NotDone("tool_timeout", "The tool took longer than 0.02 seconds."))


async def test_a_try_has_only_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    wait = asyncio.wait

    async def noted(tasks: set[asyncio.Task[Any]], *, timeout: float) -> Any:  # noqa: ASYNC109 - asyncio's
        waits.append(timeout)
        return await wait(tasks, timeout=timeout)

    monkeypatch.setattr(asyncio, "wait", noted)
    await made(a_read("look", BUSY, BUSY, "found", timeout=3600), tool_seconds=60.0)
    assert 60.0 >= waits[0] > waits[1] > waits[2] > 0.0


@pytest.mark.parametrize("kind", [a_read, an_idempotent])
async def test_it_may_succeed_in_the_end(kind: Any) -> None:
    tool = kind("t", BUSY, BUSY, "at last")
    assert await made(tool) == Succeeded("at last")


@pytest.mark.parametrize("fault", [kind for kind in ToolErrorKind if kind is not ToolErrorKind.TRANSIENT])
@pytest.mark.parametrize("kind", ONE_OF_EACH)
async def test_what_will_not_pass_is_not_tried_again(kind: Any, fault: ToolErrorKind) -> None:
    tool, naps = kind("t", ToolError("No.", kind=fault, code="nope")), Naps()
    end = await made(tool, naps=naps)
    assert (tool.times, naps.seconds) == (1, [])
    assert end == (NotDone("nope", "No.") if kind is a_read else Unknown("No."))


@pytest.mark.parametrize("fault", ToolErrorKind)
@pytest.mark.parametrize("kind", ONE_OF_EACH)
async def test_what_surely_changed_nothing_has_just_failed(kind: Any, fault: ToolErrorKind) -> None:
    error = ToolError("No.", kind=fault, code="nope", took_effect=False)
    assert await made(kind("t", *[error] * 3)) == NotDone("nope", "No.")


@pytest.mark.parametrize("kind", ONE_OF_EACH)
async def test_a_tool_that_breaks_tells_nobody_how(kind: Any, quiet: Sequence[Mapping[str, Any]]) -> None:
    end = await made(kind("t", ZeroDivisionError("secret inside")))
    assert end == (NotDone("tool_failed", "The tool broke.") if kind is a_read else Unknown("The tool broke."))
    (line,) = quiet
    assert (line["event"], line["tool"]) == ("tool_crashed", "t")


@pytest.mark.parametrize("error", [ProviderTimeout("upstream said"), InvalidRequest("internals")], ids=repr)
async def test_an_error_of_another_kind_is_a_broken_tool(error: Exception) -> None:
    assert await made(a_read("look", error)) == NotDone("tool_failed", "The tool broke.")


async def test_a_broken_tool_that_has_a_password_leaves_no_traceback(quiet: Sequence[Mapping[str, Any]]) -> None:
    invocation = msgspec.structs.replace(INVOCATION, password=Secret("hunter2"))
    await made(a_write("sudo", ValueError("hunter2")), invocation=invocation)
    (line,) = quiet
    assert line["exc_info"] is None
    assert "hunter2" not in str(quiet)


async def test_a_wrong_password_is_told_apart() -> None:
    assert await made(a_write("sudo", PasswordRefused())) == WrongPassword()


@pytest.mark.parametrize(("kind", "tries"), [(a_read, 3), (an_idempotent, 3), (a_write, 1)])
async def test_a_tool_that_does_not_come_back_is_cut_off(kind: Any, tries: int) -> None:
    tool = kind("t", forever, forever, forever, timeout=0.01)
    end = await made(tool)
    assert tool.times == tries
    detail = "The tool took longer than 0.01 seconds."
    assert end == (NotDone("tool_timeout", detail) if kind is a_read else Unknown(detail))


async def test_no_tool_takes_longer_than_the_server_allows() -> None:
    end = await made(a_read("look", *[forever] * 3, timeout=3600), tool_seconds=0.02)
    assert end == NotDone("tool_timeout", "The tool took longer than 0.02 seconds.")


async def test_a_tool_that_gives_up_by_itself() -> None:
    tool = a_read("look", gives_up, gives_up, "there")
    assert await made(tool) == Succeeded("there")
    assert await made(a_read("look", *[gives_up] * 3)) == NotDone("tool_timeout", "The tool gave up waiting.")


@pytest.mark.parametrize("kind", ONE_OF_EACH)
async def test_cancelling_goes_through_and_stops_the_tool(kind: Any) -> None:
    gate, stopped = Gate(), asyncio.Event()

    async def work() -> None:
        try:
            await gate()
        finally:
            stopped.set()

    tool = kind("t", work)
    task = asyncio.create_task(made(tool))
    await gate.wait_until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (stopped.is_set(), tool.times) == (True, 1)


async def test_cancelling_goes_through_between_two_tries() -> None:
    gate = Gate()

    async def nap(_: float) -> None:
        await gate()

    prepared = Prepared(
        tool=(tool := a_read("look", BUSY, "x")), arguments=Words(), assessment=tool.assessment, ruling=Allow()
    )
    task = asyncio.create_task(invoke(prepared, INVOCATION, RunLimits(), sleep=nap))
    await gate.wait_until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tool.times == 1
