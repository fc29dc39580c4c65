"""What a served process tells about itself, on a port of its own."""

import asyncio
import re
from uuid import UUID

import pytest

from tests.e2e.contract.wire import fetch
from tests.e2e.edges.reading import Scrape, scrape
from tests.e2e.server.waiting import eventually
from tests.e2e.streams.talk import KEY, hire
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream, calls, refusal, tokens

pytestmark = pytest.mark.slow

LABELS = {
    "method", "route", "status", "provider", "outcome", "direction", "tool", "effect", "pool", "le", "version", "python"
}  # fmt: skip
STREAM = "/api/v1/conversations/{conversation_id}/messages/stream"


async def until(address: str, **wanted: float) -> Scrape:
    """Scrape until these gauges have these values: a stream ends a moment after its last byte."""
    async with asyncio.timeout(10):
        while any((seen := scrape(address)).value(name) != value for name, value in wanted.items()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen


async def test_requests_are_counted_by_route(client: RetinueClient, retinue: ForkedServer, metrics: str) -> None:
    before = scrape(metrics)
    tenant = await client.create_tenant()
    await client.get(f"/tenants/{tenant.id}")
    await client.get(f"/tenants/{UUID(int=7)}")
    fetch(retinue.address, "GET", "/api/v1/tenants")
    fetch(retinue.address, "GET", f"/no/{tenant.slug}")
    fetch(retinue.address, "BREW", "/api/v1/tenants")
    after = scrape(metrics)

    def more(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    one = {"route": "/api/v1/tenants/{tenant_id}", "method": "GET"}
    assert more("requests_total", **one, status="2xx") == 1
    assert more("requests_total", **one, status="4xx") == 1
    assert more("request_duration_seconds_count", **one) == 2
    assert more("requests_total", route="/api/v1/tenants", method="POST", status="2xx") == 1
    assert more("requests_refused_total", status="401") == 1
    assert more("requests_total", route="unknown", method="GET") == 1
    assert more("requests_total", route="unknown", method="unknown") == 1
    assert "BREW" not in after.text


async def test_a_run_is_counted(
    client: RetinueClient, upstream: ThreadedUpstream, metrics: str, retinue: ForkedServer
) -> None:
    conversation = await hire(client, upstream)
    before = scrape(metrics)
    upstream.enqueue(refusal(503))
    upstream.enqueue(tokens(3).hold(1))
    stream = await client.stream(conversation.id, "Hello")
    await stream.until("token")
    during = scrape(metrics)
    upstream.release()
    frames = await stream.rest()
    await stream.response.close()
    after = await until(metrics, open_streams=before.value("open_streams"), active_runs=0)

    assert (during.value("open_streams"), during.value("active_runs")) == (before.value("open_streams") + 1, 1)
    usage = frames[-1].json["usage"]
    for name, labels, count in (
        ("requests_total", {"route": STREAM, "status": "2xx"}, 1),
        ("run_ends_total", {"status": "completed"}, 1),
        ("provider_calls_total", {"provider": "openai", "outcome": "failed"}, 1),
        ("provider_calls_total", {"provider": "openai", "outcome": "completed"}, 1),
        ("tokens_total", {"provider": "openai", "direction": "input"}, usage["input_tokens"]),
        ("tokens_total", {"provider": "openai", "direction": "output"}, usage["output_tokens"]),
    ):
        assert after.value(name, **labels) - before.value(name, **labels) == count, (name, labels)
    # The stream was open for longer than it took to begin.
    assert during.value("requests_total", route=STREAM) == after.value("requests_total", route=STREAM)


async def test_cancelled_runs_are_counted(client: RetinueClient, upstream: ThreadedUpstream, metrics: str) -> None:
    conversation = await hire(client, upstream)
    before = scrape(metrics)
    upstream.enqueue(tokens(3).hold(1))
    async with await client.stream(conversation.id, "Hello") as stream:
        run = (await stream.until("token")).json["run_id"]
        (await client.post(f"/runs/{run}/cancel")).expect(200)
    upstream.release()
    after = scrape(metrics)
    assert after.value("run_ends_total", status="cancelled") - before.value("run_ends_total", status="cancelled") == 1
    name, labels = "provider_calls_total", {"provider": "openai", "outcome": "aborted"}
    assert after.value(name, **labels) - before.value(name, **labels) == 1


async def test_tools_and_approvals_are_counted(client: RetinueClient, metrics: str) -> None:
    tenant = await client.create_tenant()
    await client.configure(tenant.id)
    tools = ["generate_coupon", "get_tracking_info"]
    model = {"model": "scripted-shop"}
    clerk = await client.create_employee(tenant.id, permission="write", tools=tools, model_settings=model)
    counter = await client.create_conversation(tenant.id, clerk.id)
    before = scrape(metrics)
    await client.post_message(counter.id, "Track order 1042", respond=True)
    (await client.post_message(counter.id, "A coupon of 10%", respond=True)).expect(202)
    after = scrape(metrics)
    labels = {"tool": "get_tracking_info", "effect": "read"}
    assert after.value("tool_calls_total", **labels) - before.value("tool_calls_total", **labels) == 1
    assert not after.value("tool_calls_total", tool="generate_coupon")
    assert after.has("approvals_pending")
    [pending] = (await client.get(f"/approvals/pending?tenant_id={tenant.id}")).expect(200).json
    (await client.post(f"/approvals/{pending['approval_id']}/deny")).expect(200)
    async with asyncio.timeout(10):
        while not scrape(metrics).value("tool_calls_total", tool="generate_coupon", status="denied"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_tool_that_a_model_made_up_gets_no_name(
    client: RetinueClient, upstream: ThreadedUpstream, metrics: str
) -> None:
    conversation = await hire(client, upstream)
    before = scrape(metrics)
    upstream.enqueue(calls("made_up_by_the_model", "{}"))
    upstream.enqueue(tokens(1))
    await client.ask(conversation.id, "Hello")
    after = scrape(metrics)
    assert "made_up" not in after.text
    unknown = {"tool": "unknown", "status": "failed"}
    assert after.value("tool_calls_total", **unknown) - before.value("tool_calls_total", **unknown) == 1


async def test_labels_say_nothing_about_anybody(
    client: RetinueClient, upstream: ThreadedUpstream, metrics: str, retinue: ForkedServer
) -> None:
    """No ids, no names, no text, no secrets: nothing that grows with the tenants."""
    conversation = await hire(client, upstream)
    await client.ask(conversation.id, "canary-in-a-message")
    await client.get("/canary-in-a-path?canary-in-a-query")
    seen = scrape(metrics)
    assert {label for sample in seen.samples for label in sample.labels} <= LABELS
    assert "canary" not in seen.text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", seen.text)
    for secret in (retinue.key, KEY, "echo", upstream.address):
        assert secret is not None
        assert secret not in seen.text


async def test_the_process_is_described(metrics: str) -> None:
    seen = scrape(metrics)
    assert seen.value("build_info") == 1
    assert seen.value("database_connections_max", pool="requests") >= 10
    assert seen.has("database_connections_in_use")
    assert eventually(lambda: scrape(metrics).value("event_loop_lag_seconds_count"))
    assert seen.has("event_loop_lag_worst_seconds")
    assert seen.has("runs_lost_total")
    assert any(sample.name == "process_open_fds" for sample in seen.samples)
    assert seen.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_the_api_does_not_tell_them(retinue: ForkedServer, metrics: str) -> None:
    for path in ("/metrics", "/api/v1/metrics"):
        fetch(retinue.address, "GET", path, headers={"x-api-key": retinue.key or ""}).problem(404, "not_found")
    assert fetch(metrics, "GET", "/api/v1/health").status == 404
