"""Every route that takes a body, with one that it accepts."""

import json
from typing import Any, NamedTuple
from uuid import UUID

from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.wire import RawAnswer, fetch
from tests.support.server import RetinueServer

JSON = {"content-type": "application/json"}


class Place(NamedTuple):
    """A tenant with everything below it."""

    tenant: str
    employee: str
    conversation: str
    run: str
    """It has ended."""
    waiting: str = ""
    """A run of another conversation that waits."""
    approval: str = ""
    """What it waits for."""
    budget: str = ""
    """Of somebody who never asks for anything."""
    key: str = ""
    """Of the tenant."""

    def fill(self, template: str) -> str:
        return (
            template.replace("{tenant_id}", self.tenant)
            .replace("{employee_id}", self.employee)
            .replace("{conversation_id}", self.conversation)
            .replace("{run_id}", self.waiting if template.endswith(GOING_ON) else self.run)
            .replace("{approval_id}", self.approval)
            .replace("{budget_id}", self.budget)
            .replace("{key_id}", self.key)
        )


async def settle(client: CheckedClient, *, waits: bool = True) -> Place:
    """
    Args:
        waits: whether a run is to wait there.
    """
    conversation = await client.hire()
    answer = (await client.post_message(conversation.id, "Hello", respond=True)).expect(200).json
    budget = {"subject": "user", "subject_id": "nobody", "period": "day", "limit_micros": 0}
    made = (await client.post(f"/tenants/{conversation.tenant_id}/budgets", budget)).expect(201).json
    keys = f"/tenants/{conversation.tenant_id}/api-keys"
    key = (await client.post(keys, {"name": "K", "role": "viewer"})).expect(201)
    place = Place(
        tenant=str(conversation.tenant_id),
        employee=str(conversation.employee_id),
        conversation=str(conversation.id),
        run=answer["run_id"],
        budget=made["id"],
        key=key.json["id"],
    )
    if not waits:
        return place
    [approval] = await _wait_for_approval(client, conversation.tenant_id)
    return place._replace(waiting=approval["run_id"], approval=approval["approval_id"])


async def _wait_for_approval(client: CheckedClient, tenant: UUID) -> list[dict[str, Any]]:
    clerk = await client.create_employee(
        tenant, permission="write", tools=["generate_coupon"], model_settings={"model": "scripted-shop"}
    )
    counter = await client.create_conversation(tenant, clerk.id, user_id="customer")
    (await client.post_message(counter.id, "A coupon of 10%", respond=True)).expect(202)
    pending: list[dict[str, Any]] = (await client.get(f"/approvals/pending?tenant_id={tenant}")).expect(200).json
    return pending


class Route(NamedTuple):
    method: str
    template: str
    fields: dict[str, Any]
    """What can be told without ids."""
    ids: tuple[str, ...] = ()
    status: int = 200
    """What the body is answered with."""
    is_optional: bool = False
    """Without a body, or with null, nothing is asked for beyond the path."""
    refusal: str = "validation_failed"
    """The code of a body of the wrong shape."""

    @property
    def is_for_a_run_that_waits(self) -> bool:
        return "{approval_id}" in self.template or self.template.endswith(GOING_ON)

    def body(self, place: Place, number: int = 0) -> dict[str, Any]:
        """A body that is accepted; the number makes what must be unique differ."""
        ids = {
            "tenant_id": place.tenant,
            "employee_id": place.employee,
            "conversation_id": place.conversation,
            "approval_id": place.approval,
        }
        fields = {
            name: f"{value}-{number}-{place.tenant[-6:]}" if name in _UNIQUE else value
            for name, value in self.fields.items()
        }
        return {name: ids[name] for name in self.ids} | fields

    def send(self, server: RetinueServer, place: Place, body: bytes | None, **headers: str) -> RawAnswer:
        """The body as it is, as JSON unless a header says something else."""
        assert server.key is not None
        given = {"x-api-key": server.key, **JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return fetch(server.address, self.method, place.fill(self.template), headers=given, body=body)

    def send_json(self, server: RetinueServer, place: Place, body: object) -> RawAnswer:
        return self.send(server, place, json.dumps(body).encode())


_EMPLOYEE: dict[str, Any] = {
    "name": "Ada",
    "role": "assistant",
    "system_prompt": "Help.",
    "slug": "ada",
    "persona": {"tone": "dry"},
    "permission": "read",
    "tools": [],
    "model_settings": {"temperature": 0.5, "max_output_tokens": 100, "model": "m"},
    "reasoning": "low",
    "capabilities": ["a"],
    "labels": ["b"],
    "chat_listen": "all",
    "task_listen": "none",
    "max_concurrent_tasks": 5,
}
_CONFIG: dict[str, Any] = {
    "llm_provider": "openai",
    "llm_model": "gpt",
    "llm_api_key": "some-key-0123456789",
    "llm_base_url": "https://models.example.com/v1",
    "context_tokens": 8000,
    "max_output_tokens": 100,
    "temperature": 0.5,
    "reasoning": "low",
    "options": {},
}
_CONVERSATION = {"title": "T", "external_id": None, "session_ttl_seconds": 60}
_BOUNDS = {"requests_per_minute": 6000, "tokens_per_minute": None, "concurrent_runs": 0}
_LIMITS = {"tenant": _BOUNDS, "key": _BOUNDS, "user": _BOUNDS}
_BUDGET = {"limit_micros": 5_000_000, "soft_percent": 80, "hard_stop": True}
_PRICE = {"provider": "openai", "model": "m", "input_price": 1, "cached_input_price": None, "output_price": 2}
_UNIQUE = ("slug", "subject_id")
_CHOICES = {"reasoning": "low", "on_busy": "enqueue", "on_disconnect": "continue"}

_DECISION = {"comment": "Fine.", "approved": True}

API = "/api/v1"
GOING_ON = ("/continue/stream", "/password/stream", "/resolve-effect")
"""What is asked of a run that waits."""
ROUTES = (
    Route("POST", f"{API}/tenants", {"name": "Acme", "slug": "acme"}, status=201),
    Route("PATCH", f"{API}/tenants/{{tenant_id}}", {"name": "Acme", "slug": "acme"}),
    Route("PUT", f"{API}/tenants/{{tenant_id}}/config", _CONFIG),
    Route("PUT", f"{API}/tenants/{{tenant_id}}/limits", _LIMITS),
    Route(
        "POST",
        f"{API}/tenants/{{tenant_id}}/budgets",
        {"subject": "user", "subject_id": "u", "period": "day", **_BUDGET},
        status=201,
    ),
    Route("PATCH", f"{API}/tenants/{{tenant_id}}/budgets/{{budget_id}}", _BUDGET),
    Route("PUT", f"{API}/tenants/{{tenant_id}}/prices", {"prices": [_PRICE]}),
    Route(
        "POST",
        f"{API}/tenants/{{tenant_id}}/api-keys",
        {"name": "Backend", "role": "member", "expires_in_seconds": 3600},
        status=201,
    ),
    Route(
        "POST",
        f"{API}/tenants/{{tenant_id}}/api-keys/{{key_id}}/rotate",
        {"grace_seconds": 60, "expires_in_seconds": 3600},
        status=201,
        is_optional=True,
    ),
    Route("PUT", f"{API}/tenants/{{tenant_id}}/origins", {"origins": ["https://app.example.com"]}),
    # The operator makes no tokens: what is right with the body shows in the refusal.
    Route(
        "POST",
        f"{API}/tenants/{{tenant_id}}/user-tokens",
        {"user_id": "u", "scopes": ["conversations:read"], "expires_in_seconds": 60},
        ("employee_id", "conversation_id"),
        status=403,
    ),
    Route("POST", f"{API}/employees", _EMPLOYEE, ("tenant_id",), status=201),
    Route("PATCH", f"{API}/employees/{{employee_id}}", _EMPLOYEE),
    Route("POST", f"{API}/conversations", {"user_id": "u", **_CONVERSATION}, ("tenant_id", "employee_id"), status=201),
    Route("PATCH", f"{API}/conversations/{{conversation_id}}", {"status": "active", **_CONVERSATION}),
    Route(
        "POST",
        f"{API}/conversations/{{conversation_id}}/messages",
        {"content": "Hi", "respond": True, **_CHOICES},
    ),
    Route("POST", f"{API}/conversations/{{conversation_id}}/messages/stream", {"content": "Hi", **_CHOICES}),
    Route("POST", f"{API}/approvals/{{approval_id}}/allow_once", {"comment": "Fine."}, is_optional=True),
    Route("POST", f"{API}/approvals/{{approval_id}}/allow_for_conversation", {"comment": "Fine."}, is_optional=True),
    Route("POST", f"{API}/approvals/{{approval_id}}/deny", {"comment": "No."}, is_optional=True),
    Route("POST", f"{API}/approvals/{{approval_id}}/decision", _DECISION, refusal="decision_not_boolean"),
    Route("POST", f"{API}/runs/{{run_id}}/continue/stream", _DECISION, ("approval_id",)),
    # Nothing here asks for a password, and no outcome is unknown: what is right with the body shows in the refusal.
    Route("POST", f"{API}/runs/{{run_id}}/password/stream", {"password": "secret"}, ("approval_id",), status=409),
    Route(
        "POST",
        f"{API}/runs/{{run_id}}/resolve-effect",
        {"tool_call_id": "call_0", "outcome": "happened", "result": {"ok": True}},
        status=404,
    ),
)
ENDLESS = f"{API}/conversations/{{conversation_id}}/events"
"""Where a GET is answered for as long as the conversation is open."""
