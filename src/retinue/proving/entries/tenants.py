"""Tenants, their configuration, and who may come in."""

from retinue.proving.entry import API, CURSOR, Entry

_ALL = f"{API}/tenants"
_ONE = f"{_ALL}/{{tenant_id}}"
_KEYS = f"{_ONE}/api-keys"
_VIEWER = {"name": "Proof", "role": "viewer"}

ENTRIES = (
    Entry(method="POST", path=_ALL, body={"name": "Proof", "slug": "{slug}"}, key="taken", found=(), by="operator"),
    Entry(method="GET", path=_ALL, query={"cursor": CURSOR}, by="operator"),
    Entry(method="GET", path=_ONE),
    Entry(method="PATCH", path=_ONE, body={"slug": "{slug}"}, by="operator"),
    Entry(method="DELETE", path=_ONE, found=(), by="operator"),
    Entry(method="GET", path=f"{_ONE}/config"),
    Entry(
        method="PUT", path=f"{_ONE}/config", body={"llm_provider": "scripted", "llm_model": "scripted-shop"}, ends=True
    ),
    Entry(method="POST", path=f"{_ONE}/config/check", key="taken"),
    Entry(method="GET", path=_KEYS, query={"cursor": CURSOR}),
    Entry(
        method="POST", path=_KEYS, body={"name": "Proof", "role": "viewer"}, key="taken", found=(201,), undo="delete"
    ),
    Entry(method="GET", path=f"{_KEYS}/{{key_id}}"),
    Entry(
        method="POST",
        path=f"{_KEYS}/{{key_id}}/rotate",
        body={"grace_seconds": 86_400},
        key="taken",
        found=(201,),
        ends=True,
        consumes=True,
    ),
    Entry(method="DELETE", path=f"{_KEYS}/{{key_id}}", found=(204,), ends=True),
    Entry(
        method="POST",
        path=f"{_ONE}/user-tokens",
        body={"user_id": "{user}", "employee_id": "{employee}", "conversation_id": "{conversation}"},
        key="refused",
        found=(201,),
    ),
    Entry(method="GET", path=f"{_ONE}/origins"),
    Entry(method="PUT", path=f"{_ONE}/origins", body={"origins": []}, ends=True),
)
