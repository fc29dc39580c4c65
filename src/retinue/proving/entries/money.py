"""Limits, budgets, prices and usage."""

from retinue.proving.entry import API, CURSOR, Entry

_ONE = f"{API}/tenants/{{tenant_id}}"
_BUDGETS = f"{_ONE}/budgets"
_BUDGET = {"period": "month", "limit_micros": 10**12}


def _of(subject: str) -> Entry:
    return Entry(
        method="POST",
        path=_BUDGETS,
        variant=subject,
        body={"subject": subject, "subject_id": f"{{{subject}}}", **_BUDGET},
        key="taken",
        found=(201,),
        undo="delete",
    )


def _usage(group: str) -> Entry:
    return Entry(
        method="GET",
        path=f"{API}/usage",
        variant=group,
        query={"tenant_id": "tenant", "cursor": CURSOR},
        fixed={"group_by": group},
        plain=frozenset({"from", "to", "format"}),
    )


ENTRIES = (
    Entry(method="GET", path=f"{_ONE}/limits"),
    Entry(method="PUT", path=f"{_ONE}/limits", body={}, found=(), by="operator"),
    Entry(method="GET", path=_BUDGETS, query={"cursor": CURSOR}),
    *(_of(subject) for subject in ("tenant", "employee", "user", "key")),
    Entry(method="GET", path=f"{_BUDGETS}/{{budget_id}}"),
    Entry(method="PATCH", path=f"{_BUDGETS}/{{budget_id}}", body={"soft_percent": 80}, ends=True),
    Entry(method="DELETE", path=f"{_BUDGETS}/{{budget_id}}", found=(204,), ends=True),
    Entry(method="GET", path=f"{_ONE}/prices"),
    Entry(method="PUT", path=f"{_ONE}/prices", body={"prices": []}, ends=True),
    *(_usage(group) for group in ("day", "employee", "user", "model", "conversation")),
)
