"""A tenant's provider: the key goes in and never comes out, and the check really asks."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.conftest import GOOD_KEY, Vendor
from tests.support.databases import Postgres
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, refusal, says

pytestmark = pytest.mark.slow

SECRET = "never-to-be-seen-again-0815-wxyz"


def stored_bytes(server: RetinueServer, request: pytest.FixtureRequest) -> bytes:
    """Everything that the database holds."""
    url = server.environment["RETINUE_DATABASE_URL"]
    if url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in Path(url.partition(":///")[2]).parent.glob("retinue.db*"))
    postgres: Postgres = request.getfixturevalue("postgres")
    database = url.rpartition("/@")[2] if "/@" in url else url.partition("@/")[2].partition("?")[0]
    tables = postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database).split()
    rows = [postgres.execute(f'SELECT "{table}"::text FROM "{table}"', database) for table in tables]
    return "\n".join(rows).encode()


async def test_a_key_goes_in_and_never_comes_out(
    client: CheckedClient, retinue: RetinueServer, upstream: ThreadedUpstream, request: pytest.FixtureRequest
) -> None:
    tenant = await client.create_tenant()
    config = Vendor("openai", upstream).config("model-in-the-dump", llm_api_key=SECRET)
    path = f"/tenants/{tenant.id}/config"
    answers = [await client.put(path, config), await client.get(path), await client.post(f"{path}/check")]
    employee = await client.create_employee(tenant.id)
    conversation = await client.create_conversation(tenant.id, employee.id)
    upstream.enqueue(refusal(401, body=f"bad key {SECRET}"))
    streamed = await client.ask(conversation.id, "Hi")
    answers.append(await client.post_message(conversation.id, "Again", respond=True))
    answers.append(await client.put(path, {**config, "options": {"system_role": "nobody"}}))
    answers += [await client.get(f"/tenants/{tenant.id}"), await client.get("/tenants?limit=200")]
    assert answers[0].json["llm_api_key"] == {"set": True, "last4": "wxyz"}
    assert [record.key for record in upstream.requests] == [SECRET] * 3
    for answer in answers:
        assert SECRET.encode() not in answer.body
    assert all(SECRET.encode() not in frame.raw for frame in streamed.frames)
    assert SECRET not in retinue.output
    dump = stored_bytes(retinue, request)
    assert b"model-in-the-dump" in dump, "the dump shows what was stored"
    assert SECRET.encode() not in dump
    assert SECRET.encode().hex().encode() not in dump


async def test_of_a_short_key_nothing_is_shown(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    config = await client.configure(tenant.id, "openai", "gpt", llm_api_key="short")
    assert (config.llm_api_key.set, config.llm_api_key.last4) == (True, None)


async def test_a_key_stays_until_it_is_replaced_or_removed(client: CheckedClient, vendor: Vendor) -> None:
    tenant = await client.create_tenant()
    path = f"/tenants/{tenant.id}/config"
    config = vendor.config()
    (await client.put(path, config)).expect(200)
    del config["llm_api_key"]
    kept = (await client.put(path, {**config, "llm_model": "other"})).expect(200).json
    assert kept["llm_api_key"] == {"set": True, "last4": GOOD_KEY[-4:]}
    removed = (await client.put(path, {**config, "llm_api_key": None})).expect(200).json
    assert removed["llm_api_key"] == {"set": False, "last4": None}


async def test_a_key_belongs_to_one_origin(client: CheckedClient, vendor: Vendor, upstream: ThreadedUpstream) -> None:
    """Else whoever may change the address could send the key anywhere."""
    tenant = await client.create_tenant()
    path = f"/tenants/{tenant.id}/config"
    (await client.put(path, vendor.config())).expect(200)
    moved = vendor.config(llm_base_url="https://elsewhere.example.com/v1")
    del moved["llm_api_key"]
    assert (await client.put(path, moved)).expect(200).json["llm_api_key"] == {"set": False, "last4": None}
    back = vendor.config()
    del back["llm_api_key"]
    assert (await client.put(path, back)).expect(200).json["llm_api_key"]["set"] is False
    (await client.post(f"{path}/check")).expect(200)
    assert GOOD_KEY not in {record.key for record in upstream.requests}


async def test_every_field_comes_back(client: CheckedClient, upstream: ThreadedUpstream) -> None:
    tenant = await client.create_tenant()
    given: dict[str, Any] = {
        "llm_provider": "openai",
        "llm_model": "gpt-5",
        "llm_base_url": upstream.openai_url,
        "context_tokens": 32_000,
        "max_output_tokens": 500,
        "temperature": 0.25,
        "reasoning": "low",
        "options": {"max_tokens_field": "max_tokens", "include_usage": False, "system_role": "developer"},
    }
    stored = (await client.put(f"/tenants/{tenant.id}/config", {**given, "llm_api_key": GOOD_KEY})).expect(200).json
    assert {name: stored[name] for name in given} == given
    again = (await client.put(f"/tenants/{tenant.id}/config", {"llm_provider": "scripted", "llm_model": "m"})).json
    assert again["context_tokens"] is again["temperature"] is again["reasoning"] is again["llm_base_url"] is None
    assert again["options"] == {}
    assert again["created_at"] == stored["created_at"]


async def check(client: CheckedClient, config: dict[str, Any]) -> dict[str, Any]:
    """Configure a new tenant and let its provider be asked."""
    tenant = await client.create_tenant()
    (await client.put(f"/tenants/{tenant.id}/config", config)).expect(200)
    found: dict[str, Any] = (await client.post(f"/tenants/{tenant.id}/config/check")).expect(200).json
    return found


async def test_a_check_asks_the_provider(client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor) -> None:
    found = await check(client, vendor.config("echo"))
    assert found == {
        "ok": True,
        "provider": vendor.name,
        "model": "echo",
        "latency_ms": found["latency_ms"],
        "problem": None,
    }
    [record] = upstream.requests
    assert (record.body["model"], record.key) == ("echo", GOOD_KEY)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("refuse-key", "provider_auth"),
        ("status-404", "provider_refused"),
        ("status-500", "provider_overloaded"),
        ("html-502", "provider_overloaded"),
        ("rate-limit-2", "provider_rate_limited"),
        ("html-200", "provider_protocol"),
        ("empty", "provider_truncated"),
        ("cut-after-0", "provider_reset"),
        ("redirect", "provider_protocol"),
    ],
)
async def test_a_check_says_what_is_wrong(client: CheckedClient, vendor: Vendor, model: str, code: str) -> None:
    found = await check(client, vendor.config(model))
    assert found["ok"] is False
    assert found["problem"]["code"] == code
    assert "upstream secret detail" not in str(found)


async def test_a_check_of_an_address_where_nobody_listens(
    client: CheckedClient, vendor: Vendor, dead_address: str
) -> None:
    found = await check(client, vendor.config(llm_base_url=f"http://{dead_address}/v1"))
    assert (found["ok"], found["problem"]["code"]) == (False, "provider_reset")
    assert dead_address not in str(found["problem"])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/v1",
        "http://localhost/v1",
        "http://[::1]/v1",
        "http://10.0.0.1/v1",
        "http://169.254.169.254/latest",
        "http://0x7f.1/",
        "http://2130706433/",
        "https://example.com:8443/v1",
        "https://user:secret@example.com/v1",
        "https://example.com/v1#fragment",
        "https://example.com/v1?key=1",
        "ftp://example.com/",
        "file:///etc/passwd",
        "example.com",
        "http://",
    ],
)
async def test_addresses_that_retinue_must_not_call(client: CheckedClient, url: str) -> None:
    tenant = await client.create_tenant()
    config = {"llm_provider": "openai", "llm_model": "m", "llm_api_key": GOOD_KEY, "llm_base_url": url}
    problem = (await client.put(f"/tenants/{tenant.id}/config", config)).problem(422, "egress_refused")
    assert [error["pointer"] for error in problem["errors"]] == ["/llm_base_url"]
    (await client.get(f"/tenants/{tenant.id}/config")).problem(404, "provider_not_configured")


@pytest.mark.parametrize(
    ("config", "code", "pointer"),
    [
        ({"llm_provider": "nobody", "llm_model": "m"}, "unknown_provider", "/llm_provider"),
        ({"llm_provider": "openai", "llm_model": "m"}, "api_key_missing", "/llm_api_key"),
        ({"llm_provider": "anthropic", "llm_model": "m"}, "api_key_missing", "/llm_api_key"),
        ({"llm_provider": "openai", "llm_model": " ", "llm_api_key": "k"}, "validation_failed", "/llm_model"),
        ({"llm_provider": "openai", "llm_model": "m", "llm_api_key": "a b"}, "validation_failed", "/llm_api_key"),
        ({"llm_provider": "openai", "llm_model": "m", "llm_api_key": "schlüssel"}, "validation_failed", "/llm_api_key"),
        ({"llm_provider": "scripted", "llm_model": "m", "temperature": 3}, "validation_failed", "/temperature"),
        ({"llm_provider": "scripted", "llm_model": "m", "reasoning": "deep"}, "validation_failed", "/reasoning"),
        ({"llm_provider": "scripted", "llm_model": "m", "context_tokens": 0}, "validation_failed", "/context_tokens"),
    ],
)
async def test_configurations_that_cannot_work(
    client: CheckedClient, config: dict[str, Any], code: str, pointer: str
) -> None:
    tenant = await client.create_tenant()
    problem = (await client.put(f"/tenants/{tenant.id}/config", config)).problem(422, code)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_without_a_configuration_there_is_nothing_to_read_or_to_check(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    (await client.get(f"/tenants/{tenant.id}/config")).problem(404, "provider_not_configured")
    (await client.post(f"/tenants/{tenant.id}/config/check")).problem(409, "provider_not_configured")


async def test_a_new_configuration_serves_the_next_message(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation: Conversation = await client.hire()
    upstream.enqueue(says("From the new one"))
    (await client.put(f"/tenants/{conversation.tenant_id}/config", vendor.config())).expect(200)
    answer = await client.ask(conversation.id, "Who are you?")
    assert answer.text == "From the new one"
    assert UUID(answer.end["run_id"]).version == 7
