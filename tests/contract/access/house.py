"""The whole product in this process, and those who knock."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx2

from retinue.app import Application
from retinue.observability.redaction import Redactor
from retinue.settings import load
from tests.support.roles import database_variables

OPERATOR_KEY = "operator-key-0123456789"
MASTER_KEYS = f"k1:{base64.b64encode(bytes(32)).decode()}"
_UNBOUND = {
    "RETINUE_LIMITS_MESSAGES": "0",
    "RETINUE_RATES_USER_REQUESTS_PER_MINUTE": "0",
    "RETINUE_RATES_WRONG_CREDENTIALS_PER_MINUTE": "0",
}
_numbers = count(1)


class Caller:
    """Somebody with a credential, or without."""

    def __init__(self, http: httpx2.AsyncClient, credential: str | None, *, key_id: str = "") -> None:
        self.http = http
        self.credential = credential
        self.key_id = key_id

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.credential is None else {"authorization": f"Bearer {self.credential}"}

    async def ask(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        content: dict[str, Any] = {} if body is None else {"json": body}
        return await self.http.request(method, f"/api/v1{path}", headers={**self.headers, **(headers or {})}, **content)

    async def call(self, method: str, path: str, body: object = None, *, status: int = 200, **kwargs: Any) -> Any:
        response = await self.ask(method, path, body, **kwargs)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        is_json = "json" in response.headers.get("content-type", "")
        return response.json() if is_json else response.text

    async def problem(self, method: str, path: str, status: int, code: str, body: object = None, **kwargs: Any) -> Any:
        problem = await self.call(method, path, body, status=status, **kwargs)
        assert problem["code"] == code, problem
        return problem


class Tenant:
    """A tenant whose employee answers, with a key of each role."""

    def __init__(self, house: "House", tenant_id: str) -> None:
        self.house, self.id = house, tenant_id
        self.path = f"/tenants/{tenant_id}"
        self.admin = self.member = self.viewer = house.nobody
        self.employee = self.clerk = ""

    async def settle(self) -> "Tenant":
        operator = self.house.operator
        await operator.call("PUT", f"{self.path}/config", {"llm_provider": "scripted", "llm_model": "scripted-echo"})
        self.admin, self.member, self.viewer = [await self.key(role) for role in ("admin", "member", "viewer")]
        self.employee = await self.hire(name="Ada")
        self.clerk = await self.hire(
            name="Bob", permission="write", tools=["generate_coupon"], model_settings={"model": "scripted-shop"}
        )
        return self

    async def key(self, role: str, **fields: Any) -> Caller:
        body = {"name": role, "role": role, **fields}
        made = await self.house.operator.call("POST", f"{self.path}/api-keys", body, status=201)
        return self.house.caller(made["key"], key_id=made["id"])

    async def hire(self, **fields: Any) -> str:
        body = {"tenant_id": self.id, "role": "assistant", "system_prompt": "Help.", **fields}
        return str((await self.house.operator.call("POST", "/employees", body, status=201))["id"])

    async def token(self, user: str = "user-1", *, by: Caller | None = None, **fields: Any) -> Caller:
        made = await (by or self.member).call(
            "POST", f"{self.path}/user-tokens", {"user_id": user, **fields}, status=201
        )
        return self.house.caller(made["token"])

    async def converse(self, user: str = "user-1", *, employee: str = "", **fields: Any) -> str:
        body = {"employee_id": employee or self.employee, "user_id": user, **fields}
        return str((await self.member.call("POST", "/conversations", body, status=201))["id"])

    async def answer(self, conversation: str) -> dict[str, Any]:
        body = {"content": "Hello", "respond": True}
        answer: dict[str, Any] = await self.member.call("POST", f"/conversations/{conversation}/messages", body)
        return answer

    async def coupon(self, user: str = "user-1") -> tuple[str, str, str]:
        """A conversation, its run and the approval that it waits for."""
        conversation = await self.converse(user, employee=self.clerk)
        body = {"content": "A coupon of 10%", "respond": True}
        answer = await self.member.call("POST", f"/conversations/{conversation}/messages", body, status=202)
        return conversation, answer["run_id"], answer["approvals"][0]["approval_id"]


class House:
    def __init__(self, application: Application, http: httpx2.AsyncClient) -> None:
        self.application, self.http = application, http
        self.operator, self.nobody = self.caller(OPERATOR_KEY), self.caller(None)

    def caller(self, credential: str | None, *, key_id: str = "") -> Caller:
        return Caller(self.http, credential, key_id=key_id)

    async def tenant(self) -> Tenant:
        number = next(_numbers)
        made = await self.operator.call("POST", "/tenants", {"name": "T", "slug": f"t-{number}"}, status=201)
        return await Tenant(self, made["id"]).settle()


@asynccontextmanager
async def open_house(url: str, *, is_open: bool = False, **environ: str) -> AsyncIterator[House]:
    """On a migrated database; in open mode without an operator key."""
    secrets = {"RETINUE_MASTER_KEYS": MASTER_KEYS} | ({} if is_open else {"RETINUE_OPERATOR_KEY": OPERATOR_KEY})
    settings = load(environ={**database_variables(url), **_UNBOUND, **secrets, **environ})
    application = Application(settings, Redactor())
    edge: Any = application.asgi
    transport = httpx2.ASGITransport(edge)
    async with (
        application._background(application.litestar),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        yield House(application, http)
