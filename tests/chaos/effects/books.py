"""What must hold of every errand that is over: the receiver, the journal, the log, the answer, the model and the audit
tell one story."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.messages import Message, MessageStatus
from retinue.domain.runs import RunStatus, WaitingFor
from retinue.domain.tools import CallStatus, Resolution
from tests.chaos.effects.errand import SAID, Errand
from tests.chaos.effects.points import Point
from tests.chaos.effects.receiver import Delivery
from tests.chaos.effects.script import READ, WRITE, Call, last_word
from tests.chaos.logs import Event, check_log, check_order, counting_text, place_of, stored_log, tail_of
from tests.e2e.streams.store import rows
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer

COLUMNS = (
    "position",
    "step",
    "call_id",
    "name",
    "status",
    "result",
    "error",
    "detail",
    "approval_id",
    "resolved_by",
    "started_at",
    "finished_at",
)
Row = dict[str, Any]


async def journal_of(server: ForkedServer, run: UUID) -> list[Row]:
    """The run's calls, in their order."""
    statement = f"SELECT {', '.join(COLUMNS)} FROM tool_calls WHERE run_id = {{}} ORDER BY position"
    found = [dict(zip(COLUMNS, row, strict=True)) for row in await rows(server, statement, run)]
    for row in found:
        row["result"] = msgspec.json.decode(row["result"]) if isinstance(row["result"], str) else row["result"]
    return found


async def check_doubt(errand: Errand, call_id: str) -> None:
    """The run waits for somebody to say what this call did: it is told as neither success nor failure."""
    run = await errand.look()
    assert (run.status, run.waiting_for) == (RunStatus.WAITING, WaitingFor.EFFECT_UNKNOWN)
    [call] = [call for call in errand.calls if call.id == call_id]
    assert call.tool == WRITE, "only of a write nobody can know"
    assert run.id is not None
    [row] = [row for row in await journal_of(errand.world.here, run.id) if row["call_id"] == call_id]
    assert row["status"] == CallStatus.OUTCOME_UNKNOWN
    assert row["result"] is None
    answer = await _answer_of(errand)
    assert answer.status is MessageStatus.WAITING
    assert call_id not in [entry.tool_call_id for entry in answer.tool_log]
    log = [Event(data["id"], data) for data in (await errand.call("GET", f"/runs/{run.id}/events?limit=200")).json]
    assert call_id not in [event.data["tool_call_id"] for event in _finished(log)]


async def check_question(errand: Errand, call_id: str) -> None:
    """A person is asked only about calls that have come to nothing yet."""
    assert errand.run is not None
    [row] = [row for row in await journal_of(errand.world.here, errand.run) if row["call_id"] == call_id]
    assert row["status"] == CallStatus.PROPOSED, f"asked about {call_id}, which is {row['status']}, {row['error']}"
    assert errand.receiver.of(row["call_id"].removeprefix("call_")) == []


async def check_errand(errand: Errand, server: ForkedServer, client: RetinueClient, *, was_read: bool = True) -> None:
    """Everything about one errand; `was_read` to its end by whoever began it."""
    assert errand.run is not None
    try:
        log = await stored_log(client, errand.run)
        journal = await journal_of(server, errand.run)
        _check_effects(errand, journal)
        await _check_story(errand, log, journal)
        if was_read:
            check_reader(errand, log)
        await _check_model(errand, journal)
        await _check_rows(errand, server)
    except AssertionError as error:
        raise AssertionError(
            f"{error}\n{errand}\n{await _state(errand, server)}\n{tail_of(errand.seen, 40)}"
        ) from error


async def _state(errand: Errand, server: ForkedServer) -> str:
    assert errand.run is not None
    lines = [f"  {row}" for row in await journal_of(server, errand.run)]
    lines += [f"  {delivery}" for call in errand.calls for delivery in errand.receiver.of(call.marker)]
    return "\n".join([*lines, f"  decided {errand.decisions}, resolved {dict(errand.resolutions)}"])


def _check_effects(errand: Errand, journal: Sequence[Row]) -> None:
    """Each call as often at the receiver as it may, and in the journal as it was."""
    assert [row["call_id"] for row in journal] == [call.id for call in errand.calls]
    assert [row["position"] for row in journal] == list(range(1, len(journal) + 1))
    for row, call in zip(journal, errand.calls, strict=True):
        sent = errand.receiver.of(call.marker)
        assert {delivery.key for delivery in sent} <= {f"{errand.run}:{row['position']}"}
        assert row["finished_at"] is not None, row
        match call.tool:
            case "remote_read":
                _check_success(row, sent)
            case "remote_set" if call.id not in _stopped(errand):
                _check_success(row, sent)
                assert row["approval_id"] is not None
                assert len({delivery.receipt for delivery in sent}) == 1
            case _:
                _check_write(errand, call, row, sent)


def _stopped(errand: Errand) -> dict[str, str]:
    """The calls that a person has stopped, with the reason that they get."""
    stopped: dict[str, str] = {}
    for turn in errand.turns:
        is_denied = False
        for call in turn:
            if is_denied:
                stopped[call.id] = "skipped"
            elif errand.decisions.get(call.id) == "deny":
                stopped[call.id], is_denied = "denied", True
    return stopped


def _check_success(row: Row, sent: Sequence[Delivery]) -> None:
    assert (row["status"], row["error"], row["resolved_by"]) == (CallStatus.SUCCEEDED, None, None), row
    assert sent, row
    assert row["result"] == {"receipt": sent[-1].receipt}, row


def _check_write(errand: Errand, call: Call, row: Row, sent: Sequence[Delivery]) -> None:
    if reason := _stopped(errand).get(call.id):
        assert not sent
        assert row["error"] == reason
        assert row["started_at"] is None
        return
    resolutions = errand.resolutions.get(call.id, [])
    assert len(sent) <= 1 + resolutions.count(Resolution.RETRY), f"{len(sent)} deliveries after {resolutions}"
    assert row["approval_id"] is not None
    assert row["started_at"] is not None
    assert (row["resolved_by"] is not None) == bool(resolutions)
    match resolutions[-1:]:
        case []:
            _check_success(row, sent)
            assert len(sent) == 1
        case [Resolution.HAPPENED]:
            assert (row["status"], row["result"]) == (CallStatus.SUCCEEDED, SAID)
        case [Resolution.DID_NOT_HAPPEN]:
            assert (row["status"], row["error"]) == (CallStatus.FAILED, "did_not_happen")
        case _:
            assert (row["status"], row["error"]) == (CallStatus.SUCCEEDED, None)
            assert row["result"] == {"receipt": sent[-1].receipt}


async def _check_story(errand: Errand, log: Sequence[Event], journal: Sequence[Row]) -> None:
    """The log, its end and the stored answer tell what the journal has."""
    end = check_log(log)
    assert end["type"] == "run.completed", end
    answer = await _answer_of(errand)
    run = await errand.look()
    assert (run.status, run.waiting_for, answer.status) == (RunStatus.COMPLETED, None, MessageStatus.COMPLETED)
    assert answer.content == counting_text(log)
    assert answer.content.endswith(last_word(errand.marker))
    told = [(row["call_id"], row["name"], row["result"], row["error"], row["detail"]) for row in journal]
    finished = [
        (data["tool_call_id"], data["tool"], data["result"], data["error"], data["detail"])
        for data in (event.data for event in _finished(_counting(log)))
    ]
    assert finished == told
    logged = [(one.tool_call_id, one.name, one.result, one.error, one.detail) for one in answer.tool_log]
    assert logged == told
    assert [entry["tool_call_id"] for entry in end["tool_log"]] == [row["call_id"] for row in journal]
    assert [entry["result"] for entry in end["tool_log"]] == [row["result"] for row in journal]


def _finished(log: Sequence[Event]) -> list[Event]:
    return [event for event in log if event.kind == "tool_call.finished"]


def _counting(log: Sequence[Event]) -> list[Event]:
    """The events that no attempt has taken back."""
    kept: list[Event] = []
    for event in log:
        if event.kind == "attempt.started":
            limit = event.data["discard_after"]
            kept = [] if limit is None else [one for one in kept if one.place <= place_of(limit)]
        kept.append(event)
    return kept


def check_reader(errand: Errand, log: Sequence[Event]) -> None:
    """Who reads along, over any number of connections, gets the log, and what he got beyond it is taken back."""
    check_order(errand.seen)
    assert errand.seen[-1] == log[-1]
    stored = {event.id: event for event in log}
    assert all(stored[event.id] == event for event in errand.seen if event.id in stored)
    assert _without_pauses(_counting(errand.seen)) == _without_pauses(_counting(log))
    reads = {call.id for call in errand.calls if call.tool == READ}
    told = Counter(event.data["tool_call_id"] for event in _finished(errand.seen))
    assert all(count == 1 for call, count in told.items() if call not in reads), f"told and taken back: {told}"


def _without_pauses(log: Sequence[Event]) -> list[Event]:
    """Who comes later is not told of a pause that is over."""
    return [event for event in log if event.kind != "run.paused"]


async def _check_model(errand: Errand, journal: Sequence[Row]) -> None:
    """A model call that was completed is not made again, and the model is told what the journal has."""
    lost = await times_lost(errand)
    asked_again = 0
    for step in range(1, len(errand.turns) + 2):
        asks = errand.asks(step)
        asked_again += len(asks) - 1
        assert len(asks) == errand.asked_by_then.get(step, len(asks)), f"step {step} was planned again"
        results = [one for one in asks[-1]["messages"] if one["role"] == "tool"]
        expected = [row for row in journal if row["step"] < step]
        assert [one["tool_call_id"] for one in results] == [row["call_id"] for row in expected]
        for one, row in zip(results, expected, strict=True):
            if row["error"] is None:
                assert msgspec.json.decode(one["content"]) == row["result"]
            else:
                assert one["content"] == f"{row['error']}: {row['detail']}"
    # Where it is known that the process was lost elsewhere, no loss is left over for a model call.
    elsewhere = errand.has_lost_its_process and errand.point not in {Point.PLANNING, Point.NEXT_CALL, None}
    assert asked_again <= lost - elsewhere, f"{asked_again} asks too many"


async def times_lost(errand: Errand) -> int:
    """How often its process was lost: attempts that did not follow a pause."""
    run = await errand.look()
    return run.attempt - 1 - run.pauses


async def _check_rows(errand: Errand, server: ForkedServer) -> None:
    """Nothing stays open, and nobody was asked twice."""
    assert errand.run is not None
    assert not await rows(server, "SELECT id FROM ledger WHERE run_id = {} AND closed_at IS NULL", errand.run)
    asked = await rows(server, "SELECT tool_call_id, status, decision FROM approvals WHERE run_id = {}", errand.run)
    assert sorted(call for call, _, _ in asked) == sorted(call.id for call in errand.calls if call.tool != READ)
    skipped = {call for call, reason in _stopped(errand).items() if reason == "skipped"}
    for call, status, decision in asked:
        assert decision == errand.decisions.get(call), (call, status, decision)
        assert status in {"granted", "denied"} or (call in skipped and status == "superseded"), (call, status)


async def _answer_of(errand: Errand) -> Message:
    found = await errand.call("GET", f"/conversations/{errand.conversation}/messages")
    return found.expect(200).as_type(list[Message])[-1]


async def check_audit(client: RetinueClient, tenant: UUID, errands: Sequence[Errand]) -> None:
    """The trail of a tenant is whole, and has every intent, question, decision and resolution as often as it was."""
    assert (await client.get(f"/audit/verify?tenant_id={tenant}")).expect(200).json["is_valid"] is True
    entries: list[Any] = []
    path: str | None = f"/audit?tenant_id={tenant}&limit=200"
    while path is not None:
        answer = (await client.get(path)).expect(200)
        entries += answer.json
        link = answer.header("link")
        path = None if link is None else link.partition("<")[2].partition(">")[0]
    count = Counter((entry["action"], entry["object_id"]) for entry in entries)
    of_run = Counter((entry["action"], entry["payload"].get("run_id")) for entry in entries)
    for errand in errands:
        for position, call in enumerate(errand.calls, 1):
            called, key = count["tool.called", f"{errand.run}:{position}"], f"{errand.run}:{position}"
            resolutions = errand.resolutions.get(call.id, [])
            match call.tool:
                case "remote_read":
                    assert called == 0
                case "remote_write":
                    is_stopped = call.id in _stopped(errand)
                    assert called == (0 if is_stopped else 1 + resolutions.count(Resolution.RETRY)), (str(errand), key)
                case "remote_set":
                    assert called >= len(errand.receiver.of(call.marker)), (str(errand), key)
            assert count["effect.resolved", key] == len(resolutions)
        assert of_run["approval.requested", str(errand.run)] == sum(call.tool != READ for call in errand.calls)
        assert of_run["approval.decided", str(errand.run)] == len(errand.decisions)
