"""Conditions that several repositories share, spelled as the partial indexes spell them: SQLite uses such an index for
the same words only.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from retinue.db import tables as t
from retinue.domain.approvals import ApprovalStatus
from retinue.domain.messages import Role
from retinue.domain.runs import STARTED_STATUSES, RunStatus

OTHER_RUN: type[t.Run] = aliased(t.Run)
"""One beside `t.Run` in the same search. Made once: it keeps what it finds out about its columns, and to find that out
for a new one takes longer than the rest of a search.
"""


def has_started(run: type[t.Run] = t.Run) -> sa.ColumnElement[bool]:
    """Started and not over."""
    words: list[Any] = [sa.literal_column(f"'{status}'") for status in STARTED_STATUSES]
    return run.status.in_(words)


def is_queued(run: type[t.Run] = t.Run) -> sa.ColumnElement[bool]:
    """Waits to start."""
    # It has no ordinal: SQLite finds it by that, and would else look at all runs of the conversation.
    return run.ordinal.is_(None) & _is(run.status, RunStatus.QUEUED)


def is_at_work(run: type[t.Run] = t.Run) -> sa.ColumnElement[bool]:
    """Started, and does not wait for a person. The index of all that have started serves it."""
    return has_started(run) & _is(run.status, RunStatus.RUNNING)


def is_held(clock: sa.ColumnElement[datetime], run: type[t.Run] = t.Run) -> sa.ColumnElement[bool]:
    """Some process has it, and its lease has not run out by that time."""
    return run.owner.is_not(None) & (run.lease_expires_at > clock)


def is_pending(approval: type[t.Approval] = t.Approval) -> sa.ColumnElement[bool]:
    """Nobody has decided about it yet."""
    return _is(approval.status, ApprovalStatus.PENDING)


def is_from_user(message: type[t.Message] = t.Message) -> sa.ColumnElement[bool]:
    return _is(message.role, Role.USER)


def _is(column: Any, word: StrEnum) -> sa.ColumnElement[bool]:
    condition: sa.ColumnElement[bool] = column == sa.literal_column(f"'{word}'")
    return condition
