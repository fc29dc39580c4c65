"""Sending on a connection: one piece after the other, and not into one that is gone."""

import asyncio
from unittest.mock import Mock

import pytest

from retinue.server.sending import Sending

DEADLINE = 5


@pytest.fixture
def transport() -> Mock:
    return Mock(is_closing=lambda: False)


@pytest.fixture
async def sending(transport: Mock) -> Sending:
    sending = Sending()
    sending.connection_made(transport)
    return sending


async def test_who_is_too_fast_waits_for_room(sending: Sending, transport: Mock) -> None:
    sending.pause_writing()
    first, second = (asyncio.create_task(sending._write(piece)) for piece in (b"1", b"2"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert [call.args for call in transport.write.call_args_list] == [(b"1",)]
    assert not first.done()
    sending.resume_writing()
    await asyncio.wait_for(asyncio.gather(first, second), DEADLINE)
    assert [call.args for call in transport.write.call_args_list] == [(b"1",), (b"2",)]


async def test_who_waits_hears_that_the_client_is_gone(sending: Sending) -> None:
    sending.pause_writing()
    writing = asyncio.create_task(sending._write(b"1"))
    await asyncio.sleep(0)
    sending.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(writing, DEADLINE)
    with pytest.raises(ConnectionResetError):
        await sending._write(b"2")


async def test_who_gives_up_waiting_is_not_in_the_way_of_others(sending: Sending) -> None:
    sending.pause_writing()
    impatient = asyncio.create_task(sending._write(b"1"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    patient = asyncio.create_task(sending._write(b"2"))
    await asyncio.sleep(0)
    assert not patient.done()
    sending.resume_writing()
    await asyncio.wait_for(patient, DEADLINE)
