"""Conversations and what is said in them."""

from retinue.proving.entry import API, CURSOR, Entry

_ALL = f"{API}/conversations"
_ONE = f"{_ALL}/{{conversation_id}}"
_SAID = "Where is order 1042?"
"""Answered in a few words, and without anybody's approval."""

ENTRIES = (
    Entry(
        method="POST",
        path=_ALL,
        body={
            "tenant_id": "{tenant}",
            "employee_id": "{employee}",
            "user_id": "{user}",
            "external_id": "{external}",
        },
        own={"external_id": "fresh"},
        key="taken",
        found=(201,),
        undo="delete",
    ),
    Entry(
        method="GET",
        path=_ALL,
        query={
            "tenant_id": "tenant",
            "employee_id": "employee",
            "user_id": "user",
            "external_id": "external",
            "cursor": CURSOR,
        },
    ),
    Entry(method="GET", path=_ONE),
    Entry(method="PATCH", path=_ONE, body={"external_id": "{external}"}, undo={"external_id": "{external}"}),
    Entry(method="DELETE", path=_ONE, found=(204,), ends=True),
    Entry(method="GET", path=f"{_ONE}/messages", query={"cursor": CURSOR}),
    Entry(method="POST", path=f"{_ONE}/messages", body={"content": "Noted."}, key="taken"),
    Entry(
        method="POST",
        path=f"{_ONE}/messages",
        variant="with an answer",
        body={"content": _SAID, "respond": True},
        key="taken",
    ),
    Entry(method="POST", path=f"{_ONE}/messages/stream", body={"content": _SAID}, key="taken", resumes=True),
    Entry(method="GET", path=f"{_ONE}/runs", query={"cursor": CURSOR}),
    Entry(method="POST", path=f"{_ONE}/cancel", key="taken"),
    Entry(
        method="GET",
        path=f"{_ONE}/events",
        own={"conversation_id": "closed"},
        query={"after": "event"},
        resumes=True,
        found=(204,),
        is_endless=True,
    ),
    Entry(
        method="GET",
        path=f"{_ONE}/events",
        variant="open",
        query={"after": "event"},
        resumes=True,
        found=(),
        is_endless=True,
    ),
)
