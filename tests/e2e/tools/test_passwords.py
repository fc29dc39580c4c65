"""A password is asked for, used once and nowhere to be found afterwards."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.streams.runs import cancel, events_of, follow, place_told, run_of, stored_events
from tests.e2e.streams.talk import VENDORS, Vendor, eventually
from tests.e2e.tools.passwords import Search, asked_for_password
from tests.e2e.tools.shelves import journal, literal, move_back
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import (
    Office,
    continued,
    finished,
    open_continue,
    open_password,
    pause,
    paused,
    refused,
    results_shown,
    wish,
    with_password,
)
from tests.support.sse import EventStream
from tests.support.upstream import says

pytestmark = pytest.mark.slow


@pytest.fixture
def search(office: Office, workspaces: Path) -> Search:
    return Search(office, workspaces)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_request_and_submit(office: Office, sudo: FakeSudo, search: Search, vendor: Vendor) -> None:
    """S3-26, S3-27, G3-2: the process gets it with one newline, and nobody else ever does."""
    conversation = await office.hire("shell_exec_safe", vendor=vendor)
    secret = sudo.password()
    async with await follow(office.client, events_of(conversation), protocol="events") as watching:
        await place_told(watching)
        stop = await asked_for_password(office, conversation, f"sudo echo carried-out-{vendor}")
        assert (await run_of(office.client, stop.run)).waiting_for == "password"
        office.upstream.enqueue(says("Carried", " out."))
        rest = await with_password(office.client, stop.run, stop.approval, secret)
        await watching.until("run.completed")
    [(tool, result, error)] = finished(rest)
    assert (tool, result["exit_code"], error) == ("shell_exec_safe", 0, None)
    assert result["stdout"] == f"carried-out-{vendor}\n"
    assert (rest.text, rest.end["status"]) == ("Carried out.", "completed")
    assert rest.types.index("tool_call_finished") < rest.types.index("token")
    seen = sudo.seen(f"carried-out-{vendor}")[-1]
    assert (seen.line, seen.rest) == (f"{secret}\n", "")
    assert seen.shown_in == [], "no command line and no environment shows it"
    assert not {name for name in seen.environment if name.startswith(("RETINUE", "SUDO", "LD_"))}
    assert office.times_asked == 2
    assert f"carried-out-{vendor}" in results_shown(office.upstream.requests[1])[0].text
    search.streams.append(watching)
    search.told += [frame.raw.decode() for frame in (*stop.answer.frames, *rest.frames)]
    assert await search.finds(conversation.tenant_id, stop.run, secret) == {}


async def test_a_command_that_tells_it(office: Office, sudo: FakeSudo, search: Search) -> None:
    """What a process prints of it is taken out of both outputs."""
    conversation = await office.hire("shell_exec_safe")
    secret = sudo.password()
    stop = await asked_for_password(office, conversation, "sudo gossip")
    office.upstream.enqueue(says("Hush."))
    rest = await with_password(office.client, stop.run, stop.approval, secret)
    [(_, result, _)] = finished(rest)
    assert result["stdout"] == "The secret is [redacted] and nothing else.\n"
    assert "[redacted]" in result["stderr"]
    search.told += [frame.raw.decode() for frame in rest.frames]
    assert await search.finds(conversation.tenant_id, stop.run, secret) == {}


async def test_wrong_passwords(office: Office, sudo: FakeSudo, search: Search) -> None:
    """G3-4: asked for again, three times in all; nothing is run, and the model is told."""
    conversation = await office.hire("shell_exec_safe")
    wrong = [f"wrong-{number}-{sudo.password()}" for number in range(3)]
    stop = await asked_for_password(office, conversation, "sudo touch never-made")
    for number, left in ((0, 2), (1, 1)):
        rest = await with_password(office.client, stop.run, stop.approval, wrong[number])
        stop = paused(rest, "waiting_for_password")
        [request] = rest.of("tool_password_requested")
        assert (request["tries_left"], request["approval_id"]) == (left, stop.approval)
        search.told += [frame.raw.decode() for frame in rest.frames]
    office.upstream.enqueue(says("It will not have it."))
    rest = await with_password(office.client, stop.run, stop.approval, wrong[2])
    assert finished(rest) == [("shell_exec_safe", None, "wrong_password")]
    assert rest.end["status"] == "completed"
    await refused(
        await open_password(office.client, stop.run, stop.approval, sudo.password()), 409, "password_not_awaited"
    )
    assert [one.is_right for one in sudo.seen("never-made")][-3:] == [False] * 3
    assert await journal(office.server, stop.run) == [("shell_exec_safe", "failed", "wrong_password")]
    assert await search.finds(conversation.tenant_id, stop.run, *wrong) == {}


async def test_the_right_one_after_a_wrong_one(office: Office, sudo: FakeSudo) -> None:
    conversation = await office.hire("shell_exec_safe")
    stop = await asked_for_password(office, conversation, "sudo echo second-try")
    again = paused(await with_password(office.client, stop.run, stop.approval, "a wrong one"), "waiting_for_password")
    office.upstream.enqueue(says("Done."))
    rest = await with_password(office.client, again.run, again.approval, sudo.password())
    assert finished(rest)[0][1]["stdout"] == "second-try\n"
    assert [one.is_right for one in sudo.seen("second-try")][-2:] == [False, True]


async def test_cancelled_while_it_waits(office: Office, sudo: FakeSudo, search: Search) -> None:
    """G3-4: what comes later is refused, and is not kept either."""
    conversation = await office.hire("shell_exec_safe")
    secret = sudo.password()
    stop = await asked_for_password(office, conversation, "sudo echo cancelled-before")
    receipt = (await cancel(office.client, stop.run)).expect(200).json
    assert receipt["status"] == "cancelled"
    response = await open_password(office.client, stop.run, stop.approval, secret, key="k-1")
    await refused(response, 409, "password_not_awaited")
    [entry] = (await office.client.messages(conversation.id))[-1].tool_log
    assert (entry.result, entry.error) == (None, "cancelled")
    assert sudo.seen("cancelled-before") == []
    assert await search.finds(conversation.tenant_id, stop.run, secret) == {}
    office.upstream.enqueue(says("Fine."))
    assert (await office.client.ask(conversation.id, "Never mind")).end["status"] == "completed"


async def test_nobody_gives_it_in_time(office: Office, sudo: FakeSudo) -> None:
    """S4-38 for passwords: the run expires, and a late one is refused."""
    conversation = await office.hire("shell_exec_safe")
    stop = await asked_for_password(office, conversation, "sudo echo too-late")
    await move_back(
        office.server, "approvals", f"id = {literal(office.server, stop.approval)}", "password_expires_at", seconds=7200
    )

    async def probe() -> bool | None:
        return True if (await run_of(office.client, stop.run)).status == "expired" else None

    assert await eventually(probe)
    response = await open_password(office.client, stop.run, stop.approval, sudo.password())
    async with response:
        await response.read()
    assert response.status == 409
    assert sudo.seen("too-late") == []
    assert (await stored_events(office.client, stop.run))[-1]["type"] == "run.expired"
    assert office.times_asked == 1


async def test_a_late_password(strict: Office, sudo: FakeSudo) -> None:
    """Before anybody has swept: it is refused and not used."""
    conversation = await strict.hire("shell_exec_safe")
    stop = await asked_for_password(strict, conversation, "sudo echo much-too-late")
    await move_back(
        strict.server, "approvals", f"id = {literal(strict.server, stop.approval)}", "password_expires_at", seconds=7200
    )
    await refused(await open_password(strict.client, stop.run, stop.approval, sudo.password()), 409, "approval_expired")
    assert sudo.seen("much-too-late") == []


async def test_only_where_one_is_awaited(office: Office, sudo: FakeSudo) -> None:
    """Before the approval, for another run, twice at once, in no text that a line of input cannot hold."""
    conversation = await office.hire("shell_exec_safe")
    client, secret = office.client, sudo.password()
    early = await pause(office, conversation, wish("shell_exec_safe", command="sudo echo only-once"))
    await refused(await open_password(client, early.run, early.approval, secret), 409, "password_not_awaited")
    stop = paused(await continued(client, early.run, early.approval, approved=True), "waiting_for_password")
    other = await office.hire("shell_exec_safe")
    elsewhere = await asked_for_password(office, other, "sudo echo elsewhere")
    await refused(await open_password(client, stop.run, elsewhere.approval, secret), 404, "not_found")
    await refused(await open_continue(client, stop.run, stop.approval, approved=True), 409, "approval_decided")
    for bad in ("", "two\nlines", "car\rriage", "nul\0", "x" * 1025):
        response = await open_password(client, stop.run, stop.approval, bad)
        async with response:
            assert response.status == 422
            body = (await response.read()).decode()
            assert not bad or bad[:8] not in body
    office.upstream.enqueue(says("Once."))
    responses = await asyncio.gather(
        *(open_password(client, stop.run, stop.approval, secret) for _ in range(8)), return_exceptions=False
    )
    statuses = sorted(response.status for response in responses)
    for response in responses:
        async with response:
            if response.status == 200:
                await EventStream(response).rest()
            else:
                assert b"password_not_awaited" in await response.read()
    assert statuses == [200] + [409] * 7
    assert [one.line for one in sudo.seen("only-once")].count(f"{secret}\n") == 1


async def test_a_repeated_request_follows(office: Office, sudo: FakeSudo) -> None:
    """With the same key: no second password, and the digest of the first one is nowhere."""
    conversation = await office.hire("shell_exec_safe")
    stop = await asked_for_password(office, conversation, "sudo echo with-a-key")
    office.upstream.enqueue(says("Once."))
    first = await with_password(office.client, stop.run, stop.approval, sudo.password(), key="same")
    again = await with_password(office.client, stop.run, stop.approval, "something else", key="same")
    assert [frame.id for frame in again.frames] == [frame.id for frame in first.frames]
    assert office.times_asked == 2
