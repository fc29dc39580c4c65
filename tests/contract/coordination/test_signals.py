"""Signals reach every handler, at most once, and never from within the one who sends."""

import asyncio

import pytest

from retinue.coordination.base import Coordination, Signals
from retinue.domain.ids import new_id
from retinue.domain.signals import Signal, SignalKind
from tests.contract.coordination.across import process, two_processes, until
from tests.contract.coordination.conftest import TENANT_ID


@pytest.fixture
def signals(coordination: Coordination) -> Signals:
    return coordination.signals


def signal(kind: SignalKind = SignalKind.CANCEL) -> Signal:
    return Signal(kind, TENANT_ID, new_id())


async def test_the_own_process_hears_soon_and_not_from_within(signals: Signals) -> None:
    heard: list[Signal] = []
    signals.subscribe(heard.append)
    sent = signal()
    signals.send(sent)
    assert heard == []
    await asyncio.sleep(0)
    assert heard == [sent]


async def test_every_handler_hears_every_signal(signals: Signals) -> None:
    first: list[Signal] = []
    second: list[Signal] = []
    signals.subscribe(first.append)
    signals.subscribe(second.append)
    sent = [signal(kind) for kind in SignalKind]
    for each in sent:
        signals.send(each)
    await asyncio.sleep(0)
    assert first == second == sent


async def test_who_ended_its_subscription_hears_nothing_more(signals: Signals) -> None:
    heard: list[Signal] = []
    end = signals.subscribe(heard.append)
    signals.send(signal())
    end()
    end()
    signals.send(signal())
    await asyncio.sleep(0)
    assert heard == []


async def test_a_handler_that_raises_stays_and_harms_nobody(signals: Signals) -> None:
    heard: list[Signal] = []
    calls = 0

    def fail(_: Signal) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("handler")

    signals.subscribe(fail)
    signals.subscribe(heard.append)
    signals.send(signal())
    signals.send(signal())
    await asyncio.sleep(0)
    assert (calls, len(heard)) == (2, 2)


async def test_sending_from_a_handler_is_not_recursion(signals: Signals) -> None:
    depth = deepest = count = 0

    def answer(_: Signal) -> None:
        nonlocal depth, deepest, count
        depth, count = depth + 1, count + 1
        deepest = max(deepest, depth)
        if count < 50:
            signals.send(signal())
        depth -= 1

    signals.subscribe(answer)
    signals.send(signal())
    await until(lambda: count == 50)
    assert deepest == 1


async def test_nobody_has_to_listen(signals: Signals) -> None:
    signals.send(signal())
    await asyncio.sleep(0)


async def test_other_processes_hear_and_the_own_one_hears_no_echo(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there), process(redis_url) as third:
        mine: list[Signal] = []
        theirs: list[Signal] = []
        others: list[Signal] = []
        here.signals.subscribe(mine.append)
        there.signals.subscribe(theirs.append)
        third.signals.subscribe(others.append)
        sent = [signal(kind) for kind in SignalKind for _ in range(20)]
        for each in sent:
            here.signals.send(each)
        await until(lambda: len(theirs) == len(others) == len(sent))
        answer = signal()
        there.signals.send(answer)  # comes back to us behind any echo
        await until(lambda: answer in mine)
        assert theirs == [*sent, answer]
        assert others == [*sent, answer]
        assert mine == [*sent, answer]
