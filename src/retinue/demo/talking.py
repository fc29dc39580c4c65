"""One turn with the demo employee over HTTP."""

from collections.abc import Callable
from typing import Any, BinaryIO, Literal

import httpx2
import msgspec

from retinue.demo.words import SLUG

TALK_SECONDS = 120.0

Decide = Callable[[dict[str, Any]], Literal["allow_once", "deny"] | None]
"""What a person says to an approval; None if nobody is there to say anything."""

_START = "Start the server with `make run` or `retinue serve --demo`."


class DemoFailed(Exception):
    """The turn did not work; the text says why."""


async def talk(url: str, message: str, operator_key: str, out: BinaryIO, decide: Decide) -> None:
    """Have one streamed turn with the demo employee over HTTP and write the stream to `out` as it comes.

    For each call that needs an approval `decide` is asked. What it leaves undecided stays so, and `out` gets the lines
    that decide it.

    Raises:
        DemoFailed: no server, no demo tenant, nobody who works there, or a turn that did not complete.
    """
    headers = {"Authorization": f"Bearer {operator_key}"} if operator_key else {}
    timeout = httpx2.Timeout(TALK_SECONDS)
    async with httpx2.AsyncClient(
        base_url=f"{url}/api/v1", headers=headers, timeout=timeout, trust_env=False
    ) as client:
        try:
            await _talk(client, message, out, decide)
        except httpx2.HTTPError as error:
            raise DemoFailed(f"{url} does not answer ({type(error).__name__}). Is `make run` running?") from None


async def _talk(client: httpx2.AsyncClient, message: str, out: BinaryIO, decide: Decide) -> None:
    tenant = await _find_tenant(client)
    employees = _decoded(await client.get(f"/employees?tenant_id={tenant['id']}&limit=1"))
    if not employees:
        raise DemoFailed(f"Nobody works for the demo tenant any more. {_START}")
    body = {"tenant_id": tenant["id"], "employee_id": employees[0]["id"], "user_id": "demo-user"}
    conversation = _decoded(await client.post("/conversations", json=body))
    end = await _show(client, f"/conversations/{conversation['id']}/messages/stream", {"content": message}, out)
    while end["status"] == "waiting_for_approval":
        approval_id, run_id = end["approval_ids"][0], end["run_id"]
        approval = _decoded(await client.get(f"/approvals/{approval_id}"))
        decision = decide(approval)
        if decision is None:
            _say(out, f"# {approval['message']} Nobody has decided yet. {_decisions(client, approval_id, run_id)}")
            return
        _say(out, f"# {approval['message']} {decision}\n")
        _decoded(await client.post(f"/approvals/{approval_id}/{decision}"))
        end = await _show(client, f"/runs/{run_id}/continue/stream", {"approval_id": approval_id}, out)
    if end["status"] != "completed":
        raise DemoFailed(f"The answer did not complete: {end['status']}.")


async def _show(client: httpx2.AsyncClient, path: str, body: dict[str, Any], out: BinaryIO) -> dict[str, Any]:
    """Write a stream to `out`; the last frame.

    Raises:
        DemoFailed: it was refused, or broke off before its end.
    """
    last = line = b""
    async with client.stream("POST", path, json=body) as response:
        if response.status_code >= 400:
            await response.aread()
            _decoded(response)
        async for chunk in response.aiter_raw():
            out.write(chunk)
            out.flush()
            *whole, line = (line + chunk).split(b"\n")
            last = next((data for data in reversed(whole) if data.startswith(b"data:")), last)
    end = msgspec.json.decode(last.removeprefix(b"data:") or b"null")
    if not isinstance(end, dict) or end.get("type") != "message_end":
        raise DemoFailed("The stream broke off.")
    return end


def _say(out: BinaryIO, text: str) -> None:
    out.write(f"{text}\n".encode())
    out.flush()


def _decisions(client: httpx2.AsyncClient, approval_id: str, run_id: str) -> str:
    """Lines to copy."""
    base = str(client.base_url).rstrip("/")
    key = ' -H "Authorization: Bearer $RETINUE_OPERATOR_KEY"' if "authorization" in client.headers else ""
    body = msgspec.json.encode({"approval_id": approval_id}).decode()
    return (
        "Allow it (or `deny`), and let the run go on:\n"
        f"curl -X POST{key} {base}/approvals/{approval_id}/allow_once\n"
        f"curl -N{key} {base}/runs/{run_id}/continue/stream -H 'Content-Type: application/json' -d '{body}'"
    )


async def _find_tenant(client: httpx2.AsyncClient) -> Any:
    """Raises: DemoFailed: it is on no page of the list."""
    response = await client.get("/tenants?limit=200")
    while True:
        for tenant in _decoded(response):
            if tenant["slug"] == SLUG:
                return tenant
        following = response.links.get("next")
        if following is None:
            raise DemoFailed(f"There is no demo tenant. {_START}")
        response = await client.get(response.url.join(following["url"]))


def _decoded(response: httpx2.Response) -> Any:
    if response.status_code >= 400:
        raise DemoFailed(f"{response.request.url} answered {response.status_code}: {response.text[:500]}")
    return msgspec.json.decode(response.content)
