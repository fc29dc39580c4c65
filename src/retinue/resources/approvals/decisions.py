"""Decisions are true or false, in no other spelling."""

from typing import Any, TypeVar

from retinue.domain.approvals import Decision
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.http.requests import EdgeRequest

T = TypeVar("T")

NOT_BOOLEAN = {"decision_not_boolean": InvalidRequest}
DECIDING = {
    code: Conflict
    for code in (
        "approval_decided",
        "approval_expired",
        "approval_superseded",
        "approval_once_only",
        "approval_altered",
        "idempotency_key_in_use",
    )
}
"""Why a decision is not taken any more."""


def decision(*, approved: bool) -> Decision:
    return Decision.ALLOW_ONCE if approved else Decision.DENY


async def read_decision(request: EdgeRequest, target: Any) -> Any:
    """The body, which says yes or no in its field `approved` or as a whole.

    Raises:
        InvalidRequest: `decision_not_boolean`, wherever that is what is wrong with it; else as for every other body.
    """
    try:
        return await request.decoded(target)
    except InvalidRequest as error:
        if any(wrong.pointer in {"", "/approved"} for wrong in error.errors) or not error.errors:
            raise InvalidRequest(
                "A decision is true or false.", code="decision_not_boolean", errors=error.errors
            ) from None
        raise
