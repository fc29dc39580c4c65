"""Tenants with everything in them, made over HTTP."""

from collections.abc import Mapping
from typing import Any

from retinue.proving.corners import TOOL, make_corner
from retinue.proving.doing import Doer
from retinue.proving.exchange import Server, together
from retinue.proving.grounds import Ground
from retinue.proving.things import Things, new_word

_UNBOUNDED = dict.fromkeys(("requests_per_minute", "tokens_per_minute", "concurrent_runs"), 0)
_USER_SCOPES = ("conversations:read", "conversations:write", "approvals:read", "approvals:decide")
_TOKEN_SECONDS = 3_600
_LIMIT_MICROS = 10**12


class Maker:
    """Makes one tenant, and deletes it again, however far it came."""

    def __init__(self, server: Server, operator: str) -> None:
        self._server = server
        self._operator = Doer(server, operator)
        self._word = new_word()
        self._tenant: str | None = None

    async def make(self) -> Ground:
        """Raises: ProvingFailed."""
        word = self._word
        made = await self._operator.post("/tenants", {"name": f"{word} Ltd", "slug": word})
        self._tenant = made["id"]
        await self._operator.put(f"{self._at}/limits", dict.fromkeys(("tenant", "key", "user"), _UNBOUNDED))
        keys = {"admin": await self._key(self._operator, "admin")}
        admin = Doer(self._server, keys["admin"]["key"])
        for name, role in {"member": "member", "viewer": "viewer", "revoked": "viewer"}.items():
            keys[name] = await self._key(admin, role)
        await admin.delete(f"{self._at}/api-keys/{keys['revoked']['id']}")
        await self._configure(admin)
        return await self._people(admin, keys)

    async def delete(self) -> None:
        """Raises: ProvingFailed."""
        if self._tenant is not None:
            await self._operator.delete(self._at)

    @property
    def _at(self) -> str:
        return f"/tenants/{self._tenant}"

    async def _key(self, doer: Doer, role: str) -> Any:
        return await doer.post(f"{self._at}/api-keys", {"name": f"{self._word} {role}", "role": role})

    async def _configure(self, admin: Doer) -> None:
        price = {"provider": "scripted", "model": self._word, "input_price": 1_000_000, "output_price": 2_000_000}
        await admin.put(f"{self._at}/config", {"llm_provider": "scripted", "llm_model": "scripted-shop"})
        await admin.put(f"{self._at}/origins", {"origins": [f"https://{self._word}.example"]})
        await admin.put(f"{self._at}/prices", {"prices": [price]})

    async def _people(self, admin: Doer, keys: Mapping[str, Any]) -> Ground:
        """Two users, and three employees, of whom one was let go."""
        employees = [await admin.post("/employees", self._employee()) for _ in range(3)]
        await admin.delete(f"/employees/{employees[2]['id']}")
        first, second, *_ = ids = [employee["id"] for employee in employees]
        ann, bob = users = f"{self._word}-ann", f"{self._word}-bob"
        budgets = [await admin.post(f"{self._at}/budgets", _budget_of(user)) for user in users]
        user, elsewhere, neighbour = await together(
            make_corner(admin, user=ann, employee=first),
            make_corner(admin, user=ann, employee=second),
            make_corner(admin, user=bob, employee=first),
        )
        tokens = {
            "user": await self._token(admin, ann),
            "neighbour": await self._token(admin, bob),
            "bound to an employee": await self._token(admin, ann, employee_id=first),
            "bound to a conversation": await self._token(admin, ann, conversation_id=user.things.first("conversation")),
        }
        assert self._tenant is not None
        return Ground(
            things=Things(
                tenant=(self._tenant,),
                slug=(self._word,),
                origin=(f"https://{self._word}.example",),
                key=(keys["member"]["id"], keys["revoked"]["id"]),
                admin_key=(keys["admin"]["id"],),
                actor=(f"key:{keys['admin']['id']}",),
                employee=tuple(ids),
                employee_slug=(employees[0]["slug"],),
                budget=tuple(budget["id"] for budget in budgets),
                request=(f"{self._word}-request",),
            ),
            words=frozenset({self._word, user.word, elsewhere.word, neighbour.word}),
            credentials={name: key["key"] for name, key in keys.items()} | tokens,
            user=user,
            elsewhere=elsewhere,
            neighbour=neighbour,
        )

    async def _token(self, admin: Doer, user: str, **bounds: str) -> str:
        body = {"user_id": user, "scopes": _USER_SCOPES, "expires_in_seconds": _TOKEN_SECONDS, **bounds}
        token: str = (await admin.post(f"{self._at}/user-tokens", body))["token"]
        return token

    def _employee(self) -> dict[str, Any]:
        word = self._word
        return {
            "name": f"{word} clerk",
            "role": f"{word} clerk",
            "system_prompt": f"You look after {word}.",
            "slug": f"{word}-{new_word()}",
            "persona": {"tone": word, "greeting": word, "escalation_message": word},
            "permission": "write",
            "tools": [TOOL],
            "capabilities": [word],
            "labels": [word],
        }


def _budget_of(user: str) -> dict[str, Any]:
    return {"subject": "user", "subject_id": user, "period": "day", "limit_micros": _LIMIT_MICROS}
