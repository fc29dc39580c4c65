"""Employees with tools, models that ask for them, and people who decide about it."""

from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from retinue.domain.conversations import Conversation
from tests.e2e.streams.talk import KEY, Vendor, check_frames, problem
from tests.support import http1
from tests.support.client import Answer, RetinueClient, StreamedAnswer
from tests.support.forking import ForkedServer
from tests.support.sse import EventStream
from tests.support.upstream import Scenario, Text, ThreadedUpstream, Tool
from tests.support.upstream.recording import RecordedRequest

SHOP = ("get_order_status", "get_tracking_info", "cancel_order", "apply_discount", "generate_coupon")
_numbers = count(1)


class Office(NamedTuple):
    """A server, a client that knocks there, and the model provider behind it."""

    server: ForkedServer
    client: RetinueClient
    upstream: ThreadedUpstream

    async def hire(
        self, *tools: str, vendor: Vendor = "openai", permission: str = "write", **more: Any
    ) -> Conversation:
        """A conversation with a new employee of a new tenant who has these tools; `more` is about the conversation."""
        tenant = await self.client.create_tenant()
        url = self.upstream.openai_url if vendor == "openai" else self.upstream.anthropic_url
        await self.client.configure(tenant.id, vendor, "echo", llm_base_url=url, llm_api_key=KEY)
        employee = await self.client.create_employee(tenant.id, tools=tools, permission=permission)
        return await self.client.create_conversation(tenant.id, employee.id, **more)

    @property
    def times_asked(self) -> int:
        """How often the model was asked."""
        return len(self.upstream.requests)


class Wish(NamedTuple):
    """A tool call as a model asks for it."""

    tool: str
    args: Any
    id: str


def wish(tool: str, args: Any = None, /, **fields: Any) -> Wish:
    """With an id of its own. Arguments that are text go out as they are."""
    return Wish(tool, fields if args is None else args, f"call_{next(_numbers)}")


def wants(*wishes: Wish, say: tuple[str, ...] = (), **fields: Any) -> Scenario:
    """An answer that says something and asks for these calls, its arguments in two fragments each."""
    pieces: list[Text | Tool] = [Text(text) for text in say]
    for index, one in enumerate(wishes):
        text = one.args if isinstance(one.args, str) else msgspec.json.encode(one.args).decode()
        half = len(text) // 2
        pieces += [Tool(text[:half], id=one.id, name=one.tool, index=index), Tool(text[half:], index=index)]
    return Scenario(pieces=tuple(pieces), finish="tool_calls", **fields)


class Pause(NamedTuple):
    """Where an answer stands still until somebody decides."""

    answer: StreamedAnswer
    run: str
    approvals: tuple[str, ...]

    @property
    def approval(self) -> str:
        """The first, or the only one."""
        return self.approvals[0]

    @property
    def last_event_id(self) -> str:
        return self.answer.frames[-1].id or ""


def paused(answer: StreamedAnswer, status: str = "waiting_for_approval") -> Pause:
    """The answer, which must have come to a pause."""
    assert answer.end["status"] == status, (answer.end, answer.of("message_error"), answer.of("tool_call_finished"))
    return Pause(answer, str(answer.end["run_id"]), tuple(answer.end["approval_ids"]))


async def pause(office: Office, conversation: Conversation, *wishes: Wish, content: str = "Please do it.") -> Pause:
    """Have the model ask for calls that somebody has to decide about."""
    office.upstream.enqueue(wants(*wishes))
    return paused(await office.client.ask(conversation.id, content))


async def decide(client: RetinueClient, approval: str, how: str = "allow_once", comment: str | None = None) -> Answer:
    """`allow_once`, `allow_for_conversation` or `deny`, whatever comes of it."""
    return await client.post(f"/approvals/{approval}/{how}", None if comment is None else {"comment": comment})


async def allow(client: RetinueClient, approval: str) -> dict[str, Any]:
    decided: dict[str, Any] = (await decide(client, approval)).expect(200).json
    assert (decided["status"], decided["decision"]) == ("granted", "allow_once")
    return decided


async def open_continue(client: RetinueClient, run: str, approval: str, **options: Any) -> http1.Response:
    """The response to `continue/stream`, whatever its status; see `_open`."""
    return await _open(client, f"/runs/{run}/continue/stream", {"approval_id": approval}, **options)


async def open_password(
    client: RetinueClient, run: str, approval: str, password: str, **options: Any
) -> http1.Response:
    """The response to `password/stream`, whatever its status; see `_open`."""
    body = {"approval_id": approval, "password": password}
    return await _open(client, f"/runs/{run}/password/stream", body, **options)


async def _open(
    client: RetinueClient,
    path: str,
    body: dict[str, Any],
    *,
    protocol: str | None = None,
    last_event_id: str | None = None,
    key: str | None = None,
    **fields: Any,
) -> http1.Response:
    given = {"last-event-id": last_event_id, "idempotency-key": key}
    headers = {name: value for name, value in given.items() if value is not None}
    query = f"?protocol={protocol}" if protocol else ""
    return await client._open("POST", path + query, body | fields, None, headers)


async def continued(client: RetinueClient, run: str, approval: str, **options: Any) -> StreamedAnswer:
    """What follows a decision, to its end or to the next pause."""
    return await told(await open_continue(client, run, approval, **options))


async def with_password(
    client: RetinueClient, run: str, approval: str, password: str, **options: Any
) -> StreamedAnswer:
    """What follows a password, to its end or to the next pause."""
    return await told(await open_password(client, run, approval, password, **options))


async def told(response: http1.Response) -> StreamedAnswer:
    """A stream that goes on in the middle of a run, read to its end and checked byte by byte."""
    if response.status != 200:
        raise AssertionError(f"{response.status}: {(await response.read()).decode(errors='replace')}")
    assert response.header("content-type") == "text/event-stream; charset=utf-8"
    async with EventStream(response) as stream:
        frames = await stream.rest()
    check_frames(frames)
    return StreamedAnswer(frames)


async def refused(response: http1.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document that this response must be."""
    async with response:
        return await problem(response, status, code)


async def pending(client: RetinueClient, tenant: UUID) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/approvals/pending?tenant_id={tenant}")).expect(200).json
    return found


async def approval_of(client: RetinueClient, approval: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/approvals/{approval}")).expect(200).json
    return found


class ToolResult(NamedTuple):
    """What a model was told of one of its calls."""

    call: str
    text: str


def results_shown(request: RecordedRequest) -> list[ToolResult]:
    """The results of tool calls that a request to a model carries, in either vendor's form, in order."""
    if request.path.endswith("/chat/completions"):
        turns = [turn for turn in request.body["messages"] if turn["role"] == "tool"]
        return [ToolResult(turn["tool_call_id"], turn["content"]) for turn in turns]
    blocks = [
        block
        for turn in request.body["messages"]
        if isinstance(turn["content"], list)
        for block in turn["content"]
        if block["type"] == "tool_result"
    ]
    return [ToolResult(block["tool_use_id"], _plain(block["content"])) for block in blocks]


def _plain(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def finished(answer: StreamedAnswer) -> list[tuple[str, Any, str | None]]:
    """The calls that came to their end in a stream: tool, result and error."""
    return [(call["tool"], call["result"], call["error"]) for call in answer.of("tool_call_finished")]
