"""Decisions are true or false, in no other spelling."""

from typing import TypeVar

import msgspec

from retinue.domain.approvals import Decision
from retinue.domain.errors import Conflict, FieldError, InvalidRequest
from retinue.http.requests import EdgeRequest
from retinue.resources.approvals.schemas import DecisionBody

T = TypeVar("T", bound=msgspec.Struct)

NOT_BOOLEAN = {"decision_not_boolean": InvalidRequest}
DECIDING = {
    "approval_decided": Conflict,
    "approval_expired": Conflict,
    "approval_superseded": Conflict,
    "approval_once_only": Conflict,
    "approval_altered": Conflict,
}
"""Why a decision is not taken any more."""


def decision(*, approved: bool) -> Decision:
    return Decision.ALLOW_ONCE if approved else Decision.DENY


async def read_decision(request: EdgeRequest) -> DecisionBody:
    """A body that is a decision and nothing else.

    Raises:
        InvalidRequest: `decision_not_boolean`, unless only the comment is wrong; else as for every other body.
    """
    try:
        said: bool | DecisionBody = await request.decoded(bool | DecisionBody)
    except InvalidRequest as error:
        if error.errors and all(_is_at("/comment", wrong) for wrong in error.errors):
            raise
        raise _not_boolean(error) from None
    return DecisionBody(approved=said) if isinstance(said, bool) else said


async def read_with_decision(request: EdgeRequest, target: type[T]) -> T:
    """A body that may say yes or no in its field `approved`.

    Raises:
        InvalidRequest: `decision_not_boolean`, if that field is wrong; else as for every other body.
    """
    try:
        body: T = await request.decoded(target)
    except InvalidRequest as error:
        if any(_is_at("/approved", wrong) for wrong in error.errors):
            raise _not_boolean(error) from None
        raise
    return body


def _is_at(pointer: str, wrong: FieldError) -> bool:
    return wrong.pointer == pointer or wrong.pointer.startswith(f"{pointer}/")


def _not_boolean(error: InvalidRequest) -> InvalidRequest:
    return InvalidRequest("A decision is true or false.", code="decision_not_boolean", errors=error.errors)
