"""Who may do what, written down by hand: a route that is not here does not exist, or somebody has forgotten it.

The first word is the scope. The second is who has it: `operator` alone, `admin` keys as well, `member` keys as well, or
`viewer` keys as well; then `user` where a token may have it, too.
"""

PUBLIC = {
    "GET /api/v1/health",
    "GET /api/v1/health/ready",
    "GET /openapi.json",
    "GET /schema/openapi.json",
}

_TENANT = "/api/v1/tenants/{tenant_id}"
_CONVERSATION = "/api/v1/conversations/{conversation_id}"
_RUN = "/api/v1/runs/{run_id}"
_APPROVAL = "/api/v1/approvals/{approval_id}"
TABLE = {
    "POST /api/v1/tenants": "operate operator",
    "GET /api/v1/tenants": "operate operator",
    f"DELETE {_TENANT}": "operate operator",
    f"PUT {_TENANT}/limits": "operate operator",
    f"GET {_TENANT}": "tenant:read viewer",
    f"PATCH {_TENANT}": "tenant:write admin",
    f"GET {_TENANT}/config": "config:read admin",
    f"PUT {_TENANT}/config": "config:write admin",
    f"POST {_TENANT}/config/check": "config:write admin",
    f"POST {_TENANT}/api-keys": "keys:write admin",
    f"GET {_TENANT}/api-keys": "keys:read admin",
    f"GET {_TENANT}/api-keys/{{key_id}}": "keys:read admin",
    f"POST {_TENANT}/api-keys/{{key_id}}/rotate": "keys:write admin",
    f"DELETE {_TENANT}/api-keys/{{key_id}}": "keys:write admin",
    f"GET {_TENANT}/origins": "keys:read admin",
    f"PUT {_TENANT}/origins": "keys:write admin",
    f"POST {_TENANT}/user-tokens": "tokens:write member",
    f"GET {_TENANT}/limits": "limits:read viewer",
    f"POST {_TENANT}/budgets": "budgets:write admin",
    f"GET {_TENANT}/budgets": "budgets:read viewer",
    f"GET {_TENANT}/budgets/{{budget_id}}": "budgets:read viewer",
    f"PATCH {_TENANT}/budgets/{{budget_id}}": "budgets:write admin",
    f"DELETE {_TENANT}/budgets/{{budget_id}}": "budgets:write admin",
    f"GET {_TENANT}/prices": "prices:read viewer",
    f"PUT {_TENANT}/prices": "prices:write admin",
    "GET /api/v1/usage": "usage:read viewer",
    "POST /api/v1/employees": "employees:write admin",
    "GET /api/v1/employees": "employees:read viewer",
    "GET /api/v1/employees/{employee_id}": "employees:read viewer",
    "PATCH /api/v1/employees/{employee_id}": "employees:write admin",
    "DELETE /api/v1/employees/{employee_id}": "employees:write admin",
    "GET /api/v1/tools": "tools:read viewer",
    "POST /api/v1/conversations": "conversations:write member user",
    "GET /api/v1/conversations": "conversations:read viewer user",
    f"GET {_CONVERSATION}": "conversations:read viewer user",
    f"PATCH {_CONVERSATION}": "conversations:write member user",
    f"DELETE {_CONVERSATION}": "conversations:write member user",
    f"GET {_CONVERSATION}/messages": "conversations:read viewer user",
    f"POST {_CONVERSATION}/messages": "conversations:write member user",
    f"POST {_CONVERSATION}/messages/stream": "conversations:write member user",
    f"GET {_CONVERSATION}/runs": "conversations:read viewer user",
    f"GET {_CONVERSATION}/events": "conversations:read viewer user",
    f"POST {_CONVERSATION}/cancel": "conversations:write member user",
    f"GET {_RUN}": "conversations:read viewer user",
    f"GET {_RUN}/stream": "conversations:read viewer user",
    f"GET {_RUN}/events": "conversations:read viewer user",
    f"POST {_RUN}/cancel": "conversations:write member user",
    f"POST {_RUN}/continue/stream": "approvals:decide member user",
    f"POST {_RUN}/password/stream": "approvals:decide member user",
    f"POST {_RUN}/resolve-effect": "approvals:decide member user",
    "GET /api/v1/approvals/pending": "approvals:read viewer user",
    f"GET {_APPROVAL}": "approvals:read viewer user",
    f"POST {_APPROVAL}/allow_once": "approvals:decide member user",
    f"POST {_APPROVAL}/allow_for_conversation": "approvals:decide member user",
    f"POST {_APPROVAL}/deny": "approvals:decide member user",
    f"POST {_APPROVAL}/decision": "approvals:decide member user",
    "GET /api/v1/audit": "audit:read admin",
    "GET /api/v1/audit/commands": "audit:read admin",
    "GET /api/v1/audit/verify": "audit:read admin",
}

_RANKS = ("viewer", "member", "admin", "operator")
USER_SCOPES = ("conversations:read", "conversations:write", "approvals:read", "approvals:decide")


def scope_of(route: str) -> str:
    return TABLE[route].split()[0]


def may(who: str, route: str) -> bool:
    """`who` is a role, `operator`, or the one scope of a user's token."""
    scope, least, *others = TABLE[route].split()
    if who in USER_SCOPES:
        return who == scope and "user" in others
    return _RANKS.index(who) >= _RANKS.index(least)
