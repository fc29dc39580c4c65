"""Retinue's API as its users call it."""

from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.messages import Message
from retinue.domain.tenants import Tenant, TenantConfig
from tests.support import http1, leaks
from tests.support.sse import EventStream, Frame

T = TypeVar("T")
API = "/api/v1"
_numbers = count(1)


class Answer(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)

    def expect(self, status: int) -> "Answer":
        assert self.status == status, f"{self.status} instead of {status}: {self.body.decode(errors='replace')}"
        return self

    def as_type(self, kind: type[T]) -> T:
        return msgspec.json.decode(self.body, type=kind)

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The problem document (RFC 9457) that this answer must be."""
        self.expect(status)
        assert self.header("content-type") == "application/problem+json", self.headers
        document: dict[str, Any] = self.json
        assert document["code"] == code, document
        assert document["status"] == status, document
        assert {"type", "title", "detail", "instance"} <= document.keys(), document
        return document


class StreamedAnswer(msgspec.Struct, frozen=True):
    """A stream in the `messages` protocol, read to its end."""

    frames: list[Frame]

    @property
    def types(self) -> list[str]:
        return [frame.json["type"] for frame in self.frames]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame.json for frame in self.frames if frame.event == kind]

    @property
    def text(self) -> str:
        return "".join(token["content"] for token in self.of("token"))

    @property
    def reasoning(self) -> str:
        return "".join(delta["delta"] for delta in self.of("reasoning_delta"))

    @property
    def start(self) -> dict[str, Any]:
        return self.of("message_start")[0]

    @property
    def end(self) -> dict[str, Any]:
        """The last frame, which must be the `message_end`."""
        assert self.types[-1] == "message_end", self.types
        last: dict[str, Any] = self.frames[-1].json
        return last


class RetinueClient:
    """Talks to one server; every request has a connection of its own, so it works from any event loop."""

    def __init__(self, address: str, key: str | None = None) -> None:
        self.address = address
        self.headers = {} if key is None else {"authorization": f"Bearer {key}"}

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Any request; `raw` sends bytes as they are instead of JSON."""
        async with await self._open(method, path, body, raw, headers or {}) as response:
            content = await response.read()
            assert response.ending == "complete", response.ending
        return Answer(response.status, response.headers, content)

    async def _open(
        self, method: str, path: str, body: object, raw: bytes | None, headers: dict[str, str]
    ) -> http1.Response:
        leaks.note(body)
        content = raw if raw is not None else None if body is None else msgspec.json.encode(body)
        kind = {} if content is None else {"content-type": "application/json"}
        path = path if path.startswith(API) else API + path
        return await http1.request(self.address, method, path, body=content, headers=self.headers | kind | headers)

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def post(self, path: str, body: object = None) -> Answer:
        return await self.call("POST", path, body)

    async def put(self, path: str, body: object) -> Answer:
        return await self.call("PUT", path, body)

    async def patch(self, path: str, body: object) -> Answer:
        return await self.call("PATCH", path, body)

    async def delete(self, path: str) -> Answer:
        return await self.call("DELETE", path)

    async def create_tenant(self, **fields: Any) -> Tenant:
        number = next(_numbers)
        body = {"name": f"Tenant {number}", "slug": f"tenant-{number}-{id(self):x}", **fields}
        return (await self.post("/tenants", body)).expect(201).as_type(Tenant)

    async def configure(
        self, tenant: UUID, provider: str = "scripted", model: str = "scripted-echo", **fields: Any
    ) -> TenantConfig:
        """Set the tenant's model provider. Fields are those of the API: `llm_api_key`, `llm_base_url`, …"""
        body = {"llm_provider": provider, "llm_model": model, **fields}
        return (await self.put(f"/tenants/{tenant}/config", body)).expect(200).as_type(TenantConfig)

    async def create_employee(self, tenant: UUID, **fields: Any) -> Employee:
        body = {"tenant_id": tenant, "name": "Ada", "role": "assistant", "system_prompt": "You are Ada.", **fields}
        return (await self.post("/employees", body)).expect(201).as_type(Employee)

    async def create_conversation(self, tenant: UUID, employee: UUID, **fields: Any) -> Conversation:
        body = {"tenant_id": tenant, "employee_id": employee, "user_id": "user-1", **fields}
        return (await self.post("/conversations", body)).expect(201).as_type(Conversation)

    async def hire(self, provider: str = "scripted", model: str = "scripted-echo", **config: Any) -> Conversation:
        """A conversation with a new employee of a new tenant, configured and ready to answer."""
        tenant = await self.create_tenant()
        await self.configure(tenant.id, provider, model, **config)
        employee = await self.create_employee(tenant.id)
        return await self.create_conversation(tenant.id, employee.id)

    async def post_message(self, conversation: UUID, content: str, **fields: Any) -> Answer:
        return await self.post(f"/conversations/{conversation}/messages", {"content": content, **fields})

    async def messages(self, conversation: UUID) -> list[Message]:
        answer = await self.get(f"/conversations/{conversation}/messages")
        return answer.expect(200).as_type(list[Message])

    async def stream(
        self, conversation: UUID, content: str, *, protocol: str | None = None, **fields: Any
    ) -> EventStream:
        """Send a message and read the answer as it comes."""
        query = "" if protocol is None else f"?protocol={protocol}"
        path = f"/conversations/{conversation}/messages/stream{query}"
        response = await self._open("POST", path, {"content": content, **fields}, None, {})
        if response.status != 200:
            raise AssertionError(f"{response.status}: {(await response.read()).decode(errors='replace')}")
        return EventStream(response)

    async def ask(self, conversation: UUID, content: str, **fields: Any) -> StreamedAnswer:
        """Send a message and read the whole stream, which must end properly."""
        async with await self.stream(conversation, content, **fields) as stream:
            return StreamedAnswer(await stream.rest())
