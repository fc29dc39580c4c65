"""Whether a call may be made: what people have said covers exactly what they were shown."""

from typing import Any

import msgspec
import pytest

from retinue.domain.approvals import Approval, ApprovalStatus, Decision, Grant
from retinue.domain.ids import new_id
from retinue.domain.policy import Permission
from retinue.domain.runs import Run, RunStatus
from retinue.domain.tools import Assessment, CallStatus, Effect, JournalEntry, Risk
from retinue.runs.calls.gate import judge
from retinue.runs.calls.passage import Go, Passage, Request, Stop, Wait, digest_of, passage
from retinue.runs.calls.toolbox import Prepared
from tests.contract.repositories.builders import NEVER, NOON
from tests.unit.runs.acting.tools import StubTool, Words, a_tool

RUN = Run(
    id=new_id(),
    tenant_id=new_id(),
    conversation_id=new_id(),
    employee_id=new_id(),
    user_message_id=new_id(),
    message_id=new_id(),
    status=RunStatus.RUNNING,
    attempt=1,
    position=1,
    created_at=NOON,
)
CALL = JournalEntry(
    run_id=RUN.id,
    position=3,
    step=1,
    call_id="c1",
    name="send",
    version="1",
    args={"text": "Hi", "n": 1},
    effect=Effect.WRITE,
    risk=Risk.MEDIUM,
)
FREE: dict[str, Any] = {"effect": Effect.READ, "risk": Risk.LOW}
REFUSED: dict[str, Any] = {"refusal": "Never."}


def looked(*, permission: Permission = Permission.WRITE, tool: StubTool | None = None, **fields: Any) -> Prepared:
    assessment = Assessment(**{"effect": Effect.WRITE, "risk": Risk.MEDIUM, **fields})
    tool = tool or a_tool("send", effect=assessment.effect)
    return Prepared(tool=tool, arguments=Words(), assessment=assessment, ruling=judge(assessment, permission))


def asked(status: ApprovalStatus = ApprovalStatus.GRANTED, *, call: JournalEntry = CALL, **fields: Any) -> Approval:
    decision = {ApprovalStatus.GRANTED: Decision.ALLOW_ONCE, ApprovalStatus.DENIED: Decision.DENY}.get(status)
    approval = Approval(
        id=new_id(),
        tenant_id=RUN.tenant_id,
        run_id=RUN.id,
        conversation_id=RUN.conversation_id,
        employee_id=RUN.employee_id,
        call_position=call.position,
        tool_call_id=call.call_id,
        tool=call.name,
        tool_version=call.version,
        args=call.args,
        digest=digest_of(call, looked(), RUN),
        effect=Effect.WRITE,
        risk=Risk.MEDIUM,
        scope="",
        reason="It changes something.",
        message="Allow it?",
        status=status,
        decision=decision,
        requested_at=NOON,
        expires_at=NEVER,
        paused_attempt=1,
        paused_seq=9,
    )
    return msgspec.structs.replace(approval, **fields)


def granted(**fields: Any) -> Grant:
    grant = Grant(
        id=new_id(),
        tenant_id=RUN.tenant_id,
        conversation_id=RUN.conversation_id,
        approval_id=new_id(),
        tool="send",
        tool_version="1",
        effect=Effect.WRITE,
        risk=Risk.MEDIUM,
        scope="",
        granted_by="ada",
        created_at=NOON,
    )
    return msgspec.structs.replace(grant, **fields)


def through(
    look: Prepared | None = None, approval: Approval | None = None, *grants: Grant, call: JournalEntry = CALL
) -> Passage:
    return passage(call, look or looked(), RUN, approval, grants)


def code(found: Passage) -> str:
    assert isinstance(found, Stop)
    return found.code


def test_without_a_word_it_is_asked_for() -> None:
    assert through() == Request("It changes something.")
    assert through(looked(reason="It mails.")) == Request("It mails.")


def test_what_needs_no_word_passes() -> None:
    assert through(looked(**FREE)) == Go()


def test_what_was_granted_passes_with_its_name() -> None:
    approval = asked()
    assert through(None, approval) == Go(approval.id)


def test_a_question_is_put_once() -> None:
    approval = asked(ApprovalStatus.PENDING)
    assert through(None, approval) == Wait(approval.id)


def test_a_denial_ends_the_turn_and_its_reason_is_passed_on() -> None:
    plain = through(None, asked(ApprovalStatus.DENIED))
    assert plain == Stop(CallStatus.DENIED, "denied", "A person has denied this call.", skips_rest=True)
    explained = through(None, asked(ApprovalStatus.DENIED, comment="Not today."))
    assert isinstance(explained, Stop)
    assert explained.detail.endswith("They say: Not today.")


def test_a_question_that_was_superseded_is_put_again() -> None:
    assert isinstance(through(None, asked(ApprovalStatus.SUPERSEDED)), Request)


@pytest.mark.parametrize(
    "changes",
    [
        {"args": {"text": "Ho", "n": 1}},
        {"args": {"text": "Hi", "n": 1, "cc": "all"}},
        {"args": {"text": "Hi", "n": True}},
        {"args": {"text": "Hi", "n": "1"}},
        {"args": None},
        {"call_id": "c2"},
        {"name": "sent"},
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [ApprovalStatus.GRANTED, ApprovalStatus.PENDING, ApprovalStatus.DENIED])
def test_other_arguments_than_those_that_were_shown(changes: dict[str, Any], status: ApprovalStatus) -> None:
    altered = msgspec.structs.replace(CALL, **changes)
    assert code(through(None, asked(status), call=altered)) == "approval_altered"
    assert code(through(looked(**FREE), asked(status), call=altered)) == "approval_altered", "not even if it is free"
    assert code(through(None, asked(status), granted(), call=altered)) == "approval_altered", "nor by a grant"


def test_an_altered_digest() -> None:
    approval = asked()
    for number in range(0, 64, 7):
        other = "0" if approval.digest[number] != "0" else "1"
        digest = approval.digest[:number] + other + approval.digest[number + 1 :]
        assert code(through(None, msgspec.structs.replace(approval, digest=digest))) == "approval_altered"


def test_another_version_of_the_tool() -> None:
    newer = looked(tool=a_tool("send", effect=Effect.WRITE, version="2"))
    assert code(through(newer, asked())) == "approval_altered"


def test_an_approval_of_another_run_or_tenant() -> None:
    approval = asked()
    for name in ("id", "tenant_id"):
        other = msgspec.structs.replace(RUN, **{name: new_id()})
        assert code(passage(CALL, looked(), other, approval, ())) == "approval_altered"


def test_the_spelling_of_the_arguments_does_not_matter() -> None:
    turned = msgspec.structs.replace(CALL, args={"n": 1, "text": "Hi"})
    approval = asked()
    assert through(None, approval, call=turned) == Go(approval.id)


@pytest.mark.parametrize(
    ("look", "is_covered"),
    [
        (looked(), True),
        (looked(risk=Risk.LOW), True),
        (looked(effect=Effect.READ), True),
        (looked(risk=Risk.HIGH), False),
        (looked(scope="/etc"), False),
        (looked(command="rm x"), False),
    ],
)
def test_a_call_may_not_reach_further_than_when_it_was_allowed(look: Prepared, is_covered: bool) -> None:
    approval = asked()
    found = through(look, approval)
    assert found == Go(approval.id) if is_covered else code(found) == "approval_outdated"


def test_what_was_allowed_as_a_read_may_not_change_anything() -> None:
    approval = asked(effect=Effect.READ, scope="/srv")
    assert through(looked(effect=Effect.READ, scope="/srv"), approval) == Go(approval.id)
    assert code(through(looked(effect=Effect.IDEMPOTENT, scope="/srv"), approval)) == "approval_outdated"


def test_one_command_that_was_allowed_for_a_conversation_says_nothing_about_another() -> None:
    grant = granted(scope="uname -a")
    assert through(looked(command="uname -a"), None, grant) == Go(grant.approval_id)
    assert isinstance(through(looked(command="ps auxe"), None, grant), Request)


def test_an_approval_covers_its_own_scope_only() -> None:
    approval = asked(scope="/etc")
    assert through(looked(scope="/etc"), approval) == Go(approval.id)
    for scope in ("", "/", "/etc/", "/etc/passwd"):
        assert code(through(looked(scope=scope), approval)) == "approval_outdated"


def test_nobody_can_allow_what_is_denied_by_now() -> None:
    for approval in (None, asked(), asked(ApprovalStatus.PENDING)):
        assert code(through(looked(**REFUSED), approval, granted())) == "refused"
        assert code(through(looked(permission=Permission.READ), approval, granted())) == "not_permitted"


def test_a_grant_lets_through_what_it_covers_and_makes_the_question_needless() -> None:
    grant = granted()
    assert through(None, None, grant) == Go(grant.approval_id)
    waiting = asked(ApprovalStatus.PENDING)
    assert through(None, waiting, grant) == Go(grant.approval_id, waiting.id)
    assert through(looked(risk=Risk.LOW), None, grant) == Go(grant.approval_id)


@pytest.mark.parametrize(
    "changes",
    [{"tool": "sent"}, {"tool_version": "2"}, {"scope": "/etc"}, {"effect": Effect.READ}, {"risk": Risk.LOW}],
    ids=str,
)
def test_a_grant_for_something_else(changes: dict[str, Any]) -> None:
    assert isinstance(through(None, None, granted(**changes)), Request)


def test_the_highest_risk_is_never_covered_by_a_grant() -> None:
    assert isinstance(through(looked(risk=Risk.HIGH), None, granted(risk=Risk.HIGH)), Request)


def test_a_call_that_needs_a_password_is_never_covered_by_a_grant() -> None:
    assert isinstance(through(looked(needs_password=True), None, granted()), Request)


def test_a_denial_beats_a_grant() -> None:
    assert code(through(None, asked(ApprovalStatus.DENIED), granted())) == "denied"


def test_what_a_person_wants_to_be_tried_again_passes() -> None:
    again = msgspec.structs.replace(CALL, status=CallStatus.APPROVED, resolved_by="ada", approval_id=new_id())
    approval = asked()
    assert through(None, approval, call=again) == Go(approval.id)
    assert code(through(looked(**REFUSED), approval, call=again)) == "refused"
    assert code(through(looked(scope="/etc"), approval, call=again)) == "approval_outdated", "that allows nothing more"
    assert isinstance(through(None, None, call=again), Request)
    altered = msgspec.structs.replace(again, args={})
    assert code(through(None, approval, call=altered)) == "approval_altered"


def test_a_question_that_has_answered_itself_is_taken_back() -> None:
    waiting = asked(ApprovalStatus.PENDING)
    assert through(looked(**FREE), waiting) == Go(None, waiting.id)
