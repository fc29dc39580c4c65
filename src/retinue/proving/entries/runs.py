"""Runs and approvals."""

from retinue.proving.entry import API, CURSOR, Entry

_RUN = f"{API}/runs/{{run_id}}"
_APPROVALS = f"{API}/approvals"
_APPROVAL = f"{_APPROVALS}/{{approval_id}}"
_WAITING = {"run_id": "waiting"}
_DECIDED_ALREADY = (200, 409)
"""The first decision is taken, and the others are told so."""


def _decision(word: str, body: object = None) -> Entry:
    return Entry(
        method="POST",
        path=f"{_APPROVAL}/{word}",
        body=body,
        key="taken",
        found=_DECIDED_ALREADY,
        ends=True,
        consumes=True,
    )


ENTRIES = (
    Entry(method="GET", path=_RUN),
    Entry(method="POST", path=f"{_RUN}/cancel", key="taken", found=(409,)),
    Entry(method="GET", path=f"{_RUN}/stream", query={"after": "event"}, resumes=True),
    Entry(method="GET", path=f"{_RUN}/events", query={"after": "event"}),
    Entry(
        method="POST",
        path=f"{_RUN}/continue/stream",
        kinds=_WAITING,
        body={"approval_id": "{approval}"},
        key="taken",
        resumes=True,
        found=(409,),
    ),
    Entry(
        method="POST",
        path=f"{_RUN}/continue/stream",
        variant="with a decision",
        kinds=_WAITING,
        body={"approval_id": "{approval}", "approved": True},
        key="taken",
        resumes=True,
        found=(),
        consumes=True,
    ),
    Entry(
        method="POST",
        path=f"{_RUN}/password/stream",
        kinds=_WAITING,
        body={"approval_id": "{approval}", "password": "guessed"},
        key="taken",
        resumes=True,
        found=(409,),
    ),
    Entry(
        method="POST",
        path=f"{_RUN}/resolve-effect",
        kinds=_WAITING,
        body={"tool_call_id": "{call}", "outcome": "did_not_happen"},
        key="taken",
        found=(409,),
    ),
    Entry(method="GET", path=f"{_APPROVALS}/pending", query={"tenant_id": "tenant", "cursor": CURSOR}),
    Entry(method="GET", path=_APPROVAL),
    _decision("allow_once"),
    _decision("allow_for_conversation"),
    _decision("deny"),
    _decision("decision", {"approved": True}),
)
