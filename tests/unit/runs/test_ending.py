"""An ending in the words of rows and events."""

from datetime import timedelta

import pytest

from retinue.domain import events as e
from retinue.domain.errors import ProviderRateLimited, RunTimeout
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus, ToolLogEntry
from retinue.domain.model_io import FinishReason
from retinue.domain.runs import CancelReceipt, Run, RunStatus
from retinue.domain.usage import Cost, Provenance, Usage
from retinue.runs.draft import Draft, text_digest
from retinue.runs.ending import receipt_of, terminal_event
from retinue.runs.endings import Cancelled, Completed, Ending, EndState, Failed, Withdrawn, end_state
from tests.support.runs import ANSWER_ID, AT, CONVERSATION_ID, STATS

RUN = Run(
    id=new_id(),
    tenant_id=new_id(),
    conversation_id=CONVERSATION_ID,
    employee_id=new_id(),
    user_message_id=new_id(),
    message_id=ANSWER_ID,
    status=RunStatus.RUNNING,
    attempt=1,
    position=1,
    created_at=AT,
)
LATER = AT + timedelta(seconds=1)
METADATA = {"provider": "stub"}


def draft() -> Draft:
    made = Draft(max_chars=100)
    made.add_reasoning("Hm")
    made.add_text("Привет")
    made.add_call(Usage(output_tokens=3), Cost(micros=5))
    made.tool_log.append(
        ToolLogEntry(tool_call_id="a", name="search", args={}, result=1, error=None, duration_ms=2),
    )
    return made


def ended(ending: Ending) -> e.TerminalEvent:
    return terminal_event(ending, RUN, draft(), stats=STATS, event_count=9, metadata=METADATA)


@pytest.mark.parametrize("reason", FinishReason)
def test_a_completed_run_says_why_the_model_stopped(reason: FinishReason) -> None:
    assert end_state(Completed(reason)) == EndState(
        run_status=RunStatus.COMPLETED, message_status=MessageStatus.COMPLETED, finish_reason=reason.value
    )
    event = ended(Completed(reason))
    assert isinstance(event, e.RunCompleted)
    assert event.finish_reason == reason.value


@pytest.mark.parametrize(("ending", "reason"), [(Cancelled(AT), "cancelled"), (Withdrawn(AT), "withdrawn")])
def test_a_cancelled_run(ending: Ending, reason: str) -> None:
    assert end_state(ending) == EndState(
        run_status=RunStatus.CANCELLED, message_status=MessageStatus.CANCELLED, finish_reason=reason
    )
    assert isinstance(ended(ending), e.RunCancelled)


@pytest.mark.parametrize("ending", [Cancelled(AT), Withdrawn(AT)])
def test_a_receipt_says_what_was_asked_when_and_what_it_had_cost(ending: Ending) -> None:
    assert receipt_of(ending, draft(), LATER) == CancelReceipt(
        requested_at=AT,
        socket_closed_at=LATER,
        tokens_received=3,
        charged=Cost(micros=5),
        provenance=Provenance.REPORTED,
    )
    assert receipt_of(ending, Draft(max_chars=1), None) == CancelReceipt(
        requested_at=AT, socket_closed_at=None, tokens_received=None, charged=None, provenance=None
    )


@pytest.mark.parametrize("ending", [Completed(FinishReason.STOP), Failed(RunTimeout())])
def test_what_was_not_cancelled_has_no_receipt(ending: Ending) -> None:
    assert receipt_of(ending, draft(), LATER) is None


def test_a_failed_run_carries_the_error_as_it_was_raised() -> None:
    error = ProviderRateLimited("Slow down.", code="quota_exhausted")
    assert end_state(Failed(error)) == EndState(
        run_status=RunStatus.FAILED,
        message_status=MessageStatus.FAILED,
        finish_reason="error",
        error_code="quota_exhausted",
    )
    event = ended(Failed(error))
    assert isinstance(event, e.RunFailed)
    assert (event.code, event.title, event.status, event.detail, event.retryable) == (
        "quota_exhausted",
        ProviderRateLimited.title,
        429,
        "Slow down.",
        True,
    )


@pytest.mark.parametrize("ending", [Completed(FinishReason.STOP), Cancelled(AT), Failed(RunTimeout())])
def test_every_end_proves_what_was_said(ending: Ending) -> None:
    event = ended(ending)
    assert (event.conversation_id, event.message_id) == (CONVERSATION_ID, ANSWER_ID)
    assert (event.usage, event.cost, event.generation_stats) == (Usage(output_tokens=3), Cost(micros=5), STATS)
    assert (event.event_count, event.metadata) == (9, METADATA)
    assert event.text_sha256 == text_digest("Привет")
    assert [entry.name for entry in event.tool_log] == ["search"]


def test_a_cost_that_is_not_known_in_full_is_not_told() -> None:
    made = draft()
    made.add_call(Usage(output_tokens=1), None)
    event = terminal_event(Cancelled(AT), RUN, made, stats=STATS, event_count=9, metadata={})
    assert event.cost is None
    assert event.usage == Usage(output_tokens=4)
