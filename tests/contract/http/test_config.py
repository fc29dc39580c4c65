"""A tenant's model provider."""

import json
from typing import Any
from uuid import UUID

import pytest

from retinue.db.session import Database
from tests.contract.http.api import Client
from tests.contract.http.conftest import FakeProviders

KEY = "fake-key-1234567890-wxyz"
CONFIG = {"llm_provider": "fake", "llm_model": "m-1", "llm_api_key": KEY}


def without_key(**fields: Any) -> dict[str, Any]:
    return {"llm_provider": "fake", "llm_model": "m-1", **fields}


async def put(client: Client, tenant: str, body: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = await client.call("PUT", f"/tenants/{tenant}/config", 200, json=body)
    return config


async def test_a_configuration_is_answered_without_its_key(client: Client, database: Database) -> None:
    tenant = await client.tenant()
    config = await put(client, tenant, CONFIG | {"temperature": 0.5, "options": {"system_role": "developer"}})
    assert config["llm_api_key"] == {"set": True, "last4": "wxyz"}
    assert (config["temperature"], config["options"]) == (0.5, {"system_role": "developer"})
    assert await client.call("GET", f"/tenants/{tenant}/config", 200) == config
    assert KEY not in json.dumps(config)
    async with database.unit(UUID(tenant), read_only=True) as unit:
        stored = await unit.config.get()
    assert stored is not None
    assert stored.sealed_api_key is not None
    assert KEY.encode() not in stored.sealed_api_key


@pytest.mark.parametrize("key", ["short", "a" * 7])
async def test_a_short_key_shows_nothing(lone_client: Client, key: str) -> None:
    config = await put(lone_client, await lone_client.tenant(), CONFIG | {"llm_api_key": key})
    assert config["llm_api_key"] == {"set": True, "last4": None}


@pytest.mark.parametrize(
    ("first", "second", "is_kept"),
    [
        ({}, {}, True),
        ({}, {"llm_model": "m-2", "temperature": 1}, True),
        ({"llm_base_url": "https://a.example/v1"}, {"llm_base_url": "https://A.example:443/v2"}, True),
        ({"llm_base_url": "https://a.example/v1"}, {"llm_base_url": "https://b.example/v1"}, False),
        ({"llm_base_url": "https://a.example/v1"}, {"llm_base_url": "http://a.example/v1"}, False),
        ({"llm_base_url": "https://a.example/v1"}, {"llm_base_url": "https://a.example:444/v1"}, False),
        ({"llm_base_url": "https://a.example/v1"}, {}, False),
        ({}, {"llm_base_url": "https://a.example/v1"}, False),
        ({}, {"llm_api_key": None}, False),
    ],
)
async def test_a_key_belongs_to_one_origin(
    lone_client: Client, providers: FakeProviders, first: dict[str, Any], second: dict[str, Any], is_kept: bool
) -> None:
    tenant = await lone_client.tenant()
    await put(lone_client, tenant, CONFIG | first)
    config = await put(lone_client, tenant, without_key(**second))
    assert config["llm_api_key"]["set"] is is_kept
    await lone_client.call("POST", f"/tenants/{tenant}/config/check", 200)
    assert providers.opened[-1].api_key == (KEY if is_kept else None)


async def test_what_is_left_out_of_a_put_is_gone(client: Client) -> None:
    tenant = await client.tenant()
    await put(client, tenant, CONFIG | {"temperature": 0.5, "reasoning": "low", "context_tokens": 1000})
    config = await put(client, tenant, without_key())
    assert (config["temperature"], config["reasoning"], config["context_tokens"]) == (None, None, None)


async def test_without_a_configuration(client: Client) -> None:
    tenant = await client.tenant()
    await client.problem("GET", f"/tenants/{tenant}/config", 404, "provider_not_configured")
    await client.problem("POST", f"/tenants/{tenant}/config/check", 409, "provider_not_configured")


async def test_without_a_tenant(client: Client) -> None:
    path = "/tenants/01890000-0000-7000-8000-000000000000/config"
    await client.problem("GET", path, 404, "not_found")
    await client.problem("PUT", path, 404, "not_found", json=CONFIG)
    await client.problem("POST", path + "/check", 404, "not_found")


async def test_a_check_says_what_the_provider_said(client: Client) -> None:
    tenant = await client.tenant()
    await put(client, tenant, CONFIG)
    answer = await client.call("POST", f"/tenants/{tenant}/config/check", 200)
    assert answer.pop("latency_ms") >= 0
    assert answer == {"ok": True, "provider": "fake", "model": "m-1", "problem": None}
    await put(client, tenant, CONFIG | {"llm_api_key": "refused-key-1234567890"})
    answer = await client.call("POST", f"/tenants/{tenant}/config/check", 200)
    assert (answer["ok"], answer["problem"]["code"]) == (False, "provider_auth")
    assert set(answer["problem"]) == {"code", "title", "detail", "retryable"}


async def test_a_check_asks_with_the_settings_of_a_run(lone_client: Client, providers: FakeProviders) -> None:
    tenant = await lone_client.tenant()
    await put(lone_client, tenant, CONFIG | {"temperature": 0.5, "reasoning": "high", "max_output_tokens": 77})
    await lone_client.call("POST", f"/tenants/{tenant}/config/check", 200)
    await put(lone_client, tenant, CONFIG | {"context_tokens": 100})
    await lone_client.call("POST", f"/tenants/{tenant}/config/check", 200)
    assert [
        (asked.model, asked.max_output_tokens, asked.temperature, asked.reasoning) for asked in providers.checked
    ] == [("m-1", 77, 0.5, "high"), ("m-1", 50, None, None)]
    assert all(asked.system and asked.turns for asked in providers.checked)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"llm_provider": "unheard-of"}, "unknown_provider"),
        ({"llm_base_url": "http://10.0.0.1/v1"}, "egress_refused"),
        ({"llm_api_key": ""}, "validation_failed"),
        ({"llm_api_key": "with blank"}, "validation_failed"),
        ({"llm_api_key": "line\n"}, "validation_failed"),
        ({"llm_api_key": "kéy"}, "validation_failed"),
        ({"llm_api_key": 7}, "validation_failed"),
        ({"temperature": 3}, "validation_failed"),
        ({"temperature": "1"}, "validation_failed"),
        ({"context_tokens": 0}, "validation_failed"),
        ({"context_tokens": 2**31}, "validation_failed"),
        ({"max_output_tokens": 1.5}, "validation_failed"),
        ({"reasoning": "very"}, "validation_failed"),
        ({"options": {"unheard": 1}}, "validation_failed"),
        ({"options": None}, "validation_failed"),
        ({"llm_model": " "}, "validation_failed"),
        ({"max_output_tokens": 4097}, "validation_failed"),
        ({"context_tokens": 100, "max_output_tokens": 100}, "validation_failed"),
        ({"llm_model": "without-temperature", "temperature": 0.5}, "validation_failed"),
    ],
)
async def test_what_a_configuration_cannot_be(lone_client: Client, fields: dict[str, Any], code: str) -> None:
    tenant = await lone_client.tenant()
    problem = await lone_client.problem("PUT", f"/tenants/{tenant}/config", 422, code, json=CONFIG | fields)
    assert KEY not in json.dumps(problem)
    assert "kéy" not in json.dumps(problem, ensure_ascii=False)
    await lone_client.problem("GET", f"/tenants/{tenant}/config", 404, "provider_not_configured")


async def test_numbers_that_just_fit(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    await put(lone_client, tenant, CONFIG | {"max_output_tokens": 4096, "context_tokens": 4097})
    await put(lone_client, tenant, CONFIG | {"context_tokens": 10})
    await put(lone_client, tenant, CONFIG | {"llm_model": "without-temperature"})
