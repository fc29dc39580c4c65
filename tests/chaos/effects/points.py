"""Where a process can be killed: one place between every two states of a call in the journal."""

from enum import StrEnum


class Point(StrEnum):
    PLANNING = "planning"
    """The model has asked for the call; that is not committed yet."""
    PROPOSED = "proposed"
    """The plan is committed; nobody has been asked."""
    ASKED = "asked"
    """The run waits for a decision, in no process."""
    DECIDED = "decided"
    """A person has allowed it; the run has gone on and has not begun the call."""
    EXECUTING = "executing"
    """The intent is committed; the request has not left."""
    RECEIVED = "received"
    """The receiver has the request and has not answered."""
    ANSWERED = "answered"
    """The tool has the answer; the outcome is not committed yet."""
    SETTLED = "settled"
    """The outcome is committed; the next call of the turn has not begun."""
    NEXT_CALL = "next call"
    """All calls of the turn are over; the model has been asked what comes next."""


IN_DOUBT = frozenset({Point.EXECUTING, Point.RECEIVED, Point.ANSWERED})
"""Where nobody can know about a write whose process has died."""
GATES: dict[Point | None, str] = {
    Point.PLANNING: "assess",
    Point.PROPOSED: "assess",
    Point.DECIDED: "assess",
    Point.EXECUTING: "before",
    Point.RECEIVED: "received",
    Point.ANSWERED: "after",
    Point.SETTLED: "assess",
}
"""The receiver's gates, as its tools call them. At `SETTLED` it is the following call that stands there."""
