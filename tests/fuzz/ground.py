"""What there is before anything is made up: a tenant with something of everything, and neighbours nobody may notice."""

from typing import Any, Literal, get_args
from uuid import UUID

import msgspec

from retinue.domain.ids import Position, event_id
from tests.support.client import RetinueClient

Kind = Literal["operator", "admin", "member", "viewer", "user"]
KINDS: tuple[Kind, ...] = get_args(Kind)
USER = "fuzz-user"
CANARY = "Qvintus"
"""Stands in everything that is somebody else's, and in no request."""
CONFIG = {"llm_provider": "scripted", "llm_model": "scripted-echo"}
TOKEN_SECONDS = 3600
CLERK: dict[str, Any] = {
    "permission": "write",
    "tools": ["generate_coupon", "get_order_status", "cancel_order"],
    "model_settings": {"model": "scripted-shop"},
}


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    kind: Kind
    credential: str
    own: dict[str, list[str]]
    """Ids of what the credential may see, by the name of the parameter that takes them."""
    foreign: dict[str, list[str]]
    """Ids of what does not exist for the credential."""
    kept: frozenset[str]
    """What must outlive the requests, so that there goes on to be something to talk about."""
    tenant: UUID

    @property
    def words(self) -> dict[str, list[str]]:
        """What made-up requests may use for ids."""
        return {name: [*ids, *self.foreign.get(name, ())] for name, ids in self.own.items()}


class _Things(msgspec.Struct, kw_only=True):
    tenant: UUID
    employees: list[str] = []
    conversations: list[str] = []
    runs: list[str] = []
    approvals: list[str] = []
    keys: list[str] = []
    secrets: list[str] = []

    def ids(self) -> dict[str, list[str]]:
        return {
            "tenant_id": [str(self.tenant)],
            "employee_id": self.employees,
            "conversation_id": self.conversations,
            "run_id": self.runs,
            "approval_id": self.approvals,
            "key_id": self.keys,
            "event_id": [event_id(UUID(run), Position(1, seq)) for run in self.runs for seq in (1, 3)],
        }


async def settle(operator: RetinueClient, kind: Kind, *, width: int = 3) -> Ground:
    """
    Args:
        width: how much of everything there is.
    """
    neighbour = await _furnish(operator, user=CANARY, mark=f"{CANARY} ", width=1)
    mine = await _furnish(operator, user=USER, mark="", width=width)
    foreign = neighbour
    if kind == "user":
        foreign = await _furnish(operator, user=CANARY, mark=f"{CANARY} ", width=1, into=mine.tenant)
    key_id, secret = await _make_key(operator, mine.tenant, "member" if kind == "user" else kind)
    credential = operator.headers["authorization"].removeprefix("Bearer ") if kind == "operator" else secret
    if kind == "user":
        credential = await _make_token(operator, mine.tenant, secret)
    spare = await operator.create_tenant()
    return Ground(
        kind=kind,
        credential=credential,
        own=mine.ids() | ({"tenant_id": [str(mine.tenant), str(spare.id)]} if kind == "operator" else {}),
        foreign={} if kind == "operator" else _both(foreign.ids(), neighbour.ids(), kind),
        kept=frozenset({str(mine.tenant), key_id, mine.employees[0], mine.conversations[0]}),
        tenant=mine.tenant,
    )


def _both(foreign: dict[str, list[str]], neighbour: dict[str, list[str]], kind: Kind) -> dict[str, list[str]]:
    """A user shares the tenant with others: its employees and keys are no secret of theirs."""
    shared = {"tenant_id", "employee_id", "key_id"} if kind == "user" else set()
    return {name: [*(() if name in shared else ids), *neighbour[name]] for name, ids in foreign.items()}


async def _furnish(operator: RetinueClient, *, user: str, mark: str, width: int, into: UUID | None = None) -> _Things:
    tenant = into or (await operator.create_tenant(name=f"{mark}Company")).id
    things = _Things(tenant=tenant)
    await operator.configure(tenant, "scripted", "scripted-echo")
    echo = await operator.create_employee(tenant, name=f"{mark}Ada")
    clerk = await operator.create_employee(tenant, name=f"{mark}Clerk", **CLERK)
    things.employees = [str(echo.id), str(clerk.id)]
    for _ in range(width):
        talk = await operator.create_conversation(tenant, echo.id, user_id=user, title=f"{mark}Talk")
        answer = (await operator.post_message(talk.id, f"{mark}Hello", respond=True)).expect(200).json
        question = await operator.create_conversation(tenant, clerk.id, user_id=user, title=f"{mark}Question")
        asked = (await operator.post_message(question.id, f"{mark}A coupon of 10%", respond=True)).expect(202).json
        things.conversations += [str(talk.id), str(question.id)]
        things.runs += [answer["run_id"], asked["run_id"]]
        things.approvals.append(asked["approvals"][0]["approval_id"])
        things.keys.append((await _make_key(operator, tenant, "viewer", name=f"{mark}Key"))[0])
    return things


async def _make_key(operator: RetinueClient, tenant: UUID, role: str, name: str = "Key") -> tuple[str, str]:
    role = "admin" if role == "operator" else role
    made = (await operator.post(f"/tenants/{tenant}/api-keys", {"name": name, "role": role})).expect(201).json
    return made["id"], made["key"]


async def _make_token(operator: RetinueClient, tenant: UUID, key: str) -> str:
    body = {
        "user_id": USER,
        "expires_in_seconds": TOKEN_SECONDS,
        "scopes": ["conversations:read", "conversations:write", "approvals:read", "approvals:decide"],
    }
    made = await RetinueClient(operator.address, key).post(f"/tenants/{tenant}/user-tokens", body)
    token: str = made.expect(201).json["token"]
    return token
