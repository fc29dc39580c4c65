"""How a run can end, or be parted with, and what that makes of its rows."""

from datetime import datetime
from typing import Literal

import msgspec

from retinue.domain.errors import RetinueError
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import FinishReason
from retinue.domain.runs import RunStatus, WaitingFor
from retinue.runs.outcome import Pause


class Completed(msgspec.Struct, frozen=True):
    reason: FinishReason


class Curtailed(msgspec.Struct, frozen=True):
    """The answer was cut off by a bound on what it may cost, and is kept as far as it came."""

    reason: Literal["budget", "length"]


class Failed(msgspec.Struct, frozen=True):
    error: RetinueError


class Cancelled(msgspec.Struct, frozen=True):
    requested_at: datetime


class Withdrawn(msgspec.Struct, frozen=True):
    """Cancelled before it started."""

    requested_at: datetime


class Expired(msgspec.Struct, frozen=True):
    """What the run waited for did not come in time."""

    waited_for: WaitingFor


Ending = Completed | Curtailed | Failed | Cancelled | Withdrawn | Expired


class Lost(msgspec.Struct, frozen=True):
    """The run belongs to another process by now, or was deleted: nothing is left to be said here."""


class HandedOver(msgspec.Struct, frozen=True):
    """This process stops; the run goes on in another one, or after the next start."""


Departure = Lost | HandedOver | Pause
"""How a process can part with a run that has not ended."""


class EndState(msgspec.Struct, frozen=True, kw_only=True):
    """An ending in the words of rows and events."""

    run_status: RunStatus
    message_status: MessageStatus
    finish_reason: str
    error_code: str | None = None


def end_state(ending: Ending) -> EndState:
    """What an ending makes of the run and its answer."""
    match ending:
        case Completed(reason=reason):
            return EndState(
                run_status=RunStatus.COMPLETED, message_status=MessageStatus.COMPLETED, finish_reason=reason.value
            )
        case Curtailed(reason=reason):
            return EndState(
                run_status=RunStatus.COMPLETED, message_status=MessageStatus.COMPLETED, finish_reason=reason
            )
        case Failed(error=error):
            return EndState(
                run_status=RunStatus.FAILED,
                message_status=MessageStatus.FAILED,
                finish_reason="error",
                error_code=error.problem_code,
            )
        case Withdrawn():
            return EndState(
                run_status=RunStatus.CANCELLED, message_status=MessageStatus.CANCELLED, finish_reason="withdrawn"
            )
        case Cancelled():
            return EndState(
                run_status=RunStatus.CANCELLED, message_status=MessageStatus.CANCELLED, finish_reason="cancelled"
            )
        case Expired(waited_for=what):
            return EndState(
                run_status=RunStatus.EXPIRED,
                message_status=MessageStatus.EXPIRED,
                finish_reason="expired",
                error_code=f"{what}_expired",
            )
