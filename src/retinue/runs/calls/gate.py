"""The policy gate in front of every tool call. Pure: the strictest of all that is known decides."""

import msgspec

from retinue.domain.policy import Permission
from retinue.domain.tools import Assessment, Effect, Risk


class Allow(msgspec.Struct, frozen=True):
    """The call may be made at once."""


class Ask(msgspec.Struct, frozen=True):
    """A person has to allow the call."""

    reason: str


class Deny(msgspec.Struct, frozen=True):
    """The call may not be made, not even with an approval."""

    code: str
    detail: str


Ruling = Allow | Ask | Deny

_CHANGES = "It changes something."
_RISKY = "Its risk is {}."
_BEYOND = "It reaches beyond the tool's usual ground."


def judge(assessment: Assessment, permission: Permission) -> Ruling:
    """Rule on a call by what it would do and what its employee may do.

    What the model says about its own call is not asked here; a tool may let it raise the risk, never lower it.
    """
    if assessment.refusal is not None:
        return Deny("refused", assessment.refusal)
    if assessment.effect is not Effect.READ and permission is Permission.READ:
        return Deny("not_permitted", "This employee may only read.")
    if assessment.effect is not Effect.READ or assessment.risk.severity >= Risk.MEDIUM.severity:
        return Ask(assessment.reason or _reason(assessment))
    if assessment.scope or assessment.needs_password:
        return Ask(assessment.reason or _BEYOND)
    return Allow()


def may_be_granted_for_conversation(risk: Risk) -> bool:
    """Calls of the highest risk are allowed one by one."""
    return risk is not Risk.HIGH


def _reason(assessment: Assessment) -> str:
    return _CHANGES if assessment.effect is not Effect.READ else _RISKY.format(assessment.risk.value)
