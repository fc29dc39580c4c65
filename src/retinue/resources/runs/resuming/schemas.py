"""Bodies of the requests that have a run go on."""

from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from retinue.domain.tools import Resolution
from retinue.http.schemas import Comment, RequestBody

# U+FFFD, too: it is what NUL and lone surrogates have become by the time a body is decoded.
Password = Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[^\x00\r\n\ufffd]+(?![\s\S])")]
ToolCallId = Annotated[str, Meta(min_length=1, max_length=2_000, examples=["call_1"])]


class ContinueBody(RequestBody, frozen=True, kw_only=True):
    """Have a run go on after a decision."""

    approval_id: UUID
    approved: bool | UnsetType = UNSET
    """Decides first: true allows the call once, false denies it. Left out, the approval has to be decided already."""
    comment: Comment | UnsetType | None = UNSET
    """Goes with a decision."""


class PasswordBody(RequestBody, frozen=True, kw_only=True):
    """A password for one call."""

    approval_id: UUID
    password: Password
    """Used for this one call and kept nowhere. Without NUL and line ends."""

    @property
    def asked_for(self) -> "PasswordRequest":
        return PasswordRequest(approval_id=self.approval_id)

    def __repr__(self) -> str:
        return f"PasswordBody(approval_id={self.approval_id})"

    __str__ = __repr__


class PasswordRequest(RequestBody, frozen=True, kw_only=True):
    """What is remembered of such a request. A digest of the password would let it be guessed, try after try."""

    approval_id: UUID


class EffectResolution(RequestBody, frozen=True, kw_only=True):
    """What a person has found out about a call whose outcome nobody knew."""

    tool_call_id: ToolCallId
    outcome: Resolution
    """`happened`: it took effect, and the employee is told the `result`. `did_not_happen`: it did not, and the employee
    is told so. `retry`: the call is made again, although it may have taken effect before.
    """
    result: Any = UNSET
    """Any JSON value; only with `happened`."""
