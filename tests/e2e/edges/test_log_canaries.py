"""Secrets in every place where a process handles one, at its most verbose: none of them is in what it writes."""

import secrets
from collections.abc import Iterator
from contextlib import suppress

import pytest

from retinue.observability.redaction import Redactor
from tests.e2e.contract.wire import exchange, fetch
from tests.e2e.edges.conftest import serving
from tests.support.client import RetinueClient
from tests.support.databases import DIALECTS
from tests.support.forking import ForkedServer
from tests.support.upstream import Cut, Raw, Scenario, Text, ThreadedUpstream, refusal, tokens

pytestmark = pytest.mark.slow

VERBOSE = {
    "RETINUE_LOG_LEVEL": "debug",
    "RETINUE_PROVIDER_MAX_TRIES": "2",
    "RETINUE_PROVIDER_BASE_DELAY_SECONDS": "0.01",
    "OPENAI_LOG": "debug",
    "ANTHROPIC_LOG": "debug",
    "PYTHONASYNCIODEBUG": "1",
}


@pytest.fixture(scope="module", params=DIALECTS)
def server(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    yield from serving(request, request.param, **VERBOSE)


def found(canaries: dict[str, str], text: str) -> list[str]:
    """The names of those that the text holds, in whatever spelling."""
    names = []
    for name, canary in canaries.items():
        redactor = Redactor()
        redactor.add(canary)
        if redactor._by_value(text) != text:
            names.append(name)
    return names


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_no_secret_is_written(server: ForkedServer, upstream: ThreadedUpstream, vendor: str) -> None:
    assert server.key is not None
    client = RetinueClient(server.address, server.key)
    key = f"sk-canary/{secrets.token_hex(8)}+=="
    url = upstream.openai_url if vendor == "openai" else upstream.anthropic_url
    conversation = await client.hire(vendor, "echo", llm_base_url=url, llm_api_key=key)

    upstream.enqueue(tokens(2))
    await client.ask(conversation.id, "Hello")
    for scenario in (
        refusal(401, body=f'{{"error": {{"message": "wrong key {key}"}}}}'),
        refusal(400, body=f"wrong key {key}"),
        Scenario(pieces=(Text("a"), Raw(text=f'data: {{"error": "{key}"}}\n\n'), Cut("rst"))),
        Scenario(pieces=(Raw(text=f"data: {key} is no JSON\n\n"),)),
    ):
        upstream.enqueue(scenario)
        await client.ask(conversation.id, "Hello")
    path = f"/tenants/{conversation.tenant_id}/config"
    wrong = {"llm_provider": vendor, "llm_model": "m", "llm_api_key": key, "llm_base_url": "http://10.0.0.1"}
    (await client.put(path, wrong)).expect(422)
    (await client.put(path, {"llm_api_key": [key]})).expect(422)
    (await client.call("PUT", path, raw=f'{{"llm_api_key": "{key}"'.encode())).expect(400)
    foreign = f"rtn-{secrets.token_hex(16)}"
    for headers in (
        {"x-api-key": foreign},
        {"authorization": f"Bearer {foreign}"},
        {"authorization": f"Basic {foreign}"},
    ):
        assert fetch(server.address, "GET", "/api/v1/tenants", headers=headers).status == 401
    with suppress(OSError):
        exchange(server.address, f"GET / HTTP/1.1\r\nx-api-key: {foreign}\r\nbroken\r\n\r\n".encode())

    canaries = {
        "provider key": key,
        "operator key": server.key,
        "master key": server.environment["RETINUE_MASTER_KEYS"].partition(":")[2],
        "foreign key": foreign,
    }
    assert '"event": "run_ended"' in server.output
    assert found(canaries, server.output) == []


def test_secrets_would_be_found(server: ForkedServer) -> None:
    assert found({"url": "Retinue listens"}, server.output) == ["url"]
