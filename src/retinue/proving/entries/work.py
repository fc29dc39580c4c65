"""Employees, tools, the audit trail, and what is open to everybody."""

from retinue.proving.entry import API, CURSOR, Entry

_EMPLOYEES = f"{API}/employees"
_EMPLOYEE = {"name": "Clerk", "role": "clerk", "system_prompt": "You help."}
_ROUTES_OF_DOCUMENT = ("/openapi.json", "/schema/openapi.json")

ENTRIES = (
    Entry(
        method="POST",
        path=_EMPLOYEES,
        body={"tenant_id": "{tenant}", "slug": "{employee_slug}", **_EMPLOYEE},
        own={"slug": "fresh"},
        key="taken",
        found=(201,),
        undo="delete",
    ),
    Entry(method="GET", path=_EMPLOYEES, query={"tenant_id": "tenant", "cursor": CURSOR}),
    Entry(method="GET", path=f"{_EMPLOYEES}/{{employee_id}}"),
    Entry(
        method="PATCH",
        path=f"{_EMPLOYEES}/{{employee_id}}",
        body={"slug": "{employee_slug}"},
        undo={"slug": "{employee_slug}"},
    ),
    Entry(method="DELETE", path=f"{_EMPLOYEES}/{{employee_id}}", found=(204,), ends=True),
    Entry(method="GET", path=f"{API}/tools"),
    Entry(
        method="GET",
        path=f"{API}/audit",
        query={"tenant_id": "tenant", "object_id": "employee", "actor": "actor", "cursor": CURSOR},
        plain=frozenset({"action", "object_type", "since", "until"}),
    ),
    Entry(method="GET", path=f"{API}/audit/commands", query={"tenant_id": "tenant", "cursor": CURSOR}),
    Entry(method="GET", path=f"{API}/audit/verify", query={"tenant_id": "tenant"}),
    Entry(method="GET", path=f"{API}/health", is_public=True),
    Entry(method="GET", path=f"{API}/health/ready", is_public=True),
    *(Entry(method="GET", path=path, is_public=True, is_described=False) for path in _ROUTES_OF_DOCUMENT),
)
