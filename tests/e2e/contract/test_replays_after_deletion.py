"""A key that was used before does not bring back what was deleted since."""

from typing import Any

import pytest

from tests.e2e.contract.checked import CheckedClient
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer

pytestmark = pytest.mark.slow

NAMED = {"idempotency-key": "once"}
CLERK: dict[str, Any] = {
    "permission": "write",
    "tools": ["generate_coupon"],
    "model_settings": {"model": "scripted-shop"},
}


async def test_what_was_deleted_is_not_told_again(client: CheckedClient, retinue: RetinueServer) -> None:
    tenant = await client.create_tenant()
    await client.configure(tenant.id)
    clerk = await client.create_employee(tenant.id, **CLERK)
    made = await client.post(f"/tenants/{tenant.id}/api-keys", {"name": "Key", "role": "member"})
    member = RetinueClient(retinue.address, made.expect(201).json["key"])
    conversation = await client.create_conversation(tenant.id, clerk.id)
    messages = f"/conversations/{conversation.id}/messages"
    said = ("POST", messages, {"content": "A secret"})
    (await member.call(*said, headers=NAMED)).expect(200)
    asked = (await member.post(messages, {"content": "A coupon of 10%", "respond": True})).expect(202).json
    decided = ("POST", f"/approvals/{asked['approvals'][0]['approval_id']}/allow_once")
    (await member.call(*decided, headers=NAMED)).expect(200)
    for request in (said, decided):
        (await member.call(*request, headers=NAMED)).expect(200)
    (await client.delete(f"/conversations/{conversation.id}")).expect(204)
    for request in (said, decided):
        (await member.call(*request, headers=NAMED)).problem(404, "not_found")
