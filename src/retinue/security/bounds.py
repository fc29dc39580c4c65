"""What a user's token is bound to, where something is begun or listed."""

from typing import TypeVar
from uuid import UUID

from retinue.domain.errors import Forbidden, NotFound
from retinue.security.principal import Principal

T = TypeVar("T", UUID, str)


def require_within(principal: Principal, *, user_id: str, employee_id: UUID) -> None:
    """Whether these credentials may begin such a conversation.

    Raises:
        Forbidden: `outside_of_token`: for another user, or with a token for one conversation.
        NotFound: with another employee; it does not exist for them.
    """
    if principal.sight.conversation_id is not None:
        raise outside("This token is for one conversation and begins no others.")
    if principal.sight.user_id not in {None, user_id}:
        raise outside("This token is for another user.")
    if principal.sight.employee_id not in {None, employee_id}:
        raise NotFound("There is no such employee.")


def narrowed(bound: T | None, wanted: T | None) -> T | None:
    """A filter of a list, within what the credentials are bound to.

    Raises:
        Forbidden: `outside_of_token`: something else is asked for.
    """
    if bound is not None and wanted not in {None, bound}:
        raise outside("This token does not reach that far.")
    return wanted if bound is None else bound


def outside(detail: str) -> Forbidden:
    return Forbidden(detail, code="outside_of_token")
