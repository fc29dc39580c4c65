"""The gate in front of every tool call: the strictest of all that is known decides."""

import itertools
from typing import Any

import pytest

from retinue.domain.policy import Permission
from retinue.domain.tools import Assessment, Effect, Risk
from retinue.runs.calls.gate import Allow, Ask, Deny, Ruling, judge, may_be_granted_for_conversation

ALL = [
    (
        Assessment(effect=effect, risk=risk, scope=scope, refusal=refusal, needs_password=needs_password),
        permission,
    )
    for effect, risk, permission, scope, refusal, needs_password in itertools.product(
        Effect, Risk, Permission, ["", "/etc"], [None, "Never."], [False, True]
    )
]


def rule(permission: Permission = Permission.WRITE, **fields: Any) -> Ruling:
    return judge(Assessment(**{"effect": Effect.READ, "risk": Risk.LOW, **fields}), permission)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, Allow),
        ({"risk": Risk.NONE}, Allow),
        ({"risk": Risk.MEDIUM}, Ask),
        ({"risk": Risk.HIGH}, Ask),
        ({"scope": "/etc"}, Ask),
        ({"needs_password": True}, Ask),
        ({"effect": Effect.IDEMPOTENT, "risk": Risk.NONE}, Ask),
        ({"effect": Effect.WRITE, "risk": Risk.NONE}, Ask),
        ({"refusal": "Never."}, Deny),
        ({"refusal": "Never.", "effect": Effect.WRITE}, Deny),
        ({"refusal": ""}, Deny),
        ({"permission": Permission.READ}, Allow),
        ({"permission": Permission.READ, "risk": Risk.HIGH}, Ask),
        ({"permission": Permission.READ, "effect": Effect.IDEMPOTENT}, Deny),
        ({"permission": Permission.READ, "effect": Effect.WRITE, "risk": Risk.NONE}, Deny),
    ],
)
def test_each_rule(fields: dict[str, Any], kind: type[Ruling]) -> None:
    assert type(rule(**fields)) is kind


@pytest.mark.parametrize(("assessment", "permission"), ALL)
def test_only_harmless_reads_on_usual_ground_pass_unasked(assessment: Assessment, permission: Permission) -> None:
    ruling = judge(assessment, permission)
    reads = assessment.effect is Effect.READ
    is_denied = assessment.refusal is not None or (permission is Permission.READ and not reads)
    assert isinstance(ruling, Deny) is is_denied
    is_usual = assessment.risk in {Risk.NONE, Risk.LOW} and not assessment.scope and not assessment.needs_password
    assert isinstance(ruling, Allow) is (reads and is_usual and not is_denied)


def test_what_is_said() -> None:
    assert rule(refusal="That is somebody else's.") == Deny("refused", "That is somebody else's.")
    assert rule(Permission.READ, effect=Effect.WRITE) == Deny("not_permitted", "This employee may only read.")
    assert rule(effect=Effect.WRITE) == Ask("It changes something.")
    assert rule(risk=Risk.HIGH) == Ask("Its risk is high.")
    assert rule(effect=Effect.WRITE, reason="It mails a customer.") == Ask("It mails a customer.")


def test_whoever_is_asked_is_told_why() -> None:
    rulings = [judge(assessment, permission) for assessment, permission in ALL]
    assert all(ruling.reason for ruling in rulings if isinstance(ruling, Ask))


@pytest.mark.parametrize("risk", Risk)
def test_the_highest_risk_is_allowed_one_by_one(risk: Risk) -> None:
    assert may_be_granted_for_conversation(risk) is (risk is not Risk.HIGH)


def test_of_two_risks_the_worse_counts() -> None:
    order = [Risk.NONE, Risk.LOW, Risk.MEDIUM, Risk.HIGH]
    assert set(order) == set(Risk)
    for one, other in itertools.product(order, order):
        assert one.or_worse(other) is order[max(order.index(one), order.index(other))]
