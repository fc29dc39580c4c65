"""What does not wait is through at once; what waits goes on as if it had been awaited from the start."""

import asyncio

import pytest

from retinue.http.eagerly import Begun

LOG = list[str]


async def work(log: LOG, *gates: asyncio.Future[str]) -> str:
    log.append("began")
    try:
        for gate in gates:
            log.append(await gate)
    except BaseException as error:
        log.append(type(error).__name__)
        raise
    log.append("ended")
    return "all"


async def test_what_does_not_wait_is_through_at_once() -> None:
    log: LOG = []
    begun = Begun(work(log))
    assert (begun.waits, begun.result) == (False, "all")
    assert log == ["began", "ended"]


async def test_what_fails_at_once_fails_at_once() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Begun(fail())


async def test_what_waits_goes_on_when_it_is_awaited() -> None:
    loop, log = asyncio.get_running_loop(), LOG()
    gates = [loop.create_future() for _ in range(3)]
    begun = Begun(work(log, *gates))
    assert begun.waits
    assert log == ["began"]
    for number, gate in enumerate(gates):
        loop.call_soon(gate.set_result, str(number))
    assert await begun == "all"
    assert log == ["began", "0", "1", "2", "ended"]


async def test_what_waits_is_cancelled_and_timed_out_like_anything_else() -> None:
    loop, log = asyncio.get_running_loop(), LOG()
    begun = Begun(work(log, loop.create_future()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await begun
    assert log == ["began", "CancelledError"]


async def test_an_error_of_what_is_waited_for_reaches_it() -> None:
    loop, log = asyncio.get_running_loop(), LOG()
    gate = loop.create_future()
    begun = Begun(work(log, gate))
    loop.call_soon(gate.set_exception, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await begun
    assert log == ["began", "ZeroDivisionError"]
