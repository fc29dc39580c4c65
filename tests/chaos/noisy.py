"""Two tenants with keys of their own: one that makes noise, and one that should not notice it."""

from typing import Any, NamedTuple
from uuid import UUID

from tests.chaos.world import hire
from tests.support.client import RetinueClient
from tests.support.upstream import ThreadedUpstream


class Voice(NamedTuple):
    """A tenant as it speaks for itself."""

    tenant: UUID
    conversation: UUID
    key: str

    def at(self, address: str) -> RetinueClient:
        return RetinueClient(address, self.key)


async def voice(operator: RetinueClient, upstream: ThreadedUpstream, **limits: Any) -> Voice:
    """A new tenant with a conversation, a key, and these limits as a whole."""
    conversation = await hire(operator, upstream)
    tenant = conversation.tenant_id
    (await operator.put(f"/tenants/{tenant}/limits", {"tenant": limits})).expect(200)
    made = await operator.post(f"/tenants/{tenant}/api-keys", {"name": "Backend", "role": "admin"})
    return Voice(tenant, conversation.id, made.expect(201).json["key"])


async def more_of(speaker: Voice, client: RetinueClient) -> UUID:
    """One more conversation of the same tenant."""
    conversation = (await client.get(f"/conversations/{speaker.conversation}")).expect(200).json
    body = {"tenant_id": speaker.tenant, "employee_id": conversation["employee_id"], "user_id": "user-1"}
    return UUID((await client.post("/conversations", body)).expect(201).json["id"])
