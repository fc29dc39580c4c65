"""The harness around a real server process, and the server through it."""

from pathlib import Path

import pytest

from tests.support.client import RetinueClient
from tests.support.processes import DidNotStart
from tests.support.server import RetinueServer, environment_for, running_retinue
from tests.support.upstream import ThreadedUpstream, says

pytestmark = pytest.mark.slow


async def test_an_answer_streams_through_a_real_server(client: RetinueClient) -> None:
    conversation = await client.hire()
    answer = await client.ask(conversation.id, "Tea, please. Zwölf Stück 🍵")
    assert answer.types[0] == "message_start"
    assert answer.text == "Tea, please. Zwölf Stück 🍵"
    assert answer.end["status"] == "completed"
    stored = await client.messages(conversation.id)
    assert [message.content for message in stored] == [answer.text, answer.text]


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_the_server_reaches_the_fake_upstream(
    client: RetinueClient, module_upstream: ThreadedUpstream, vendor: str
) -> None:
    module_upstream.reset()
    module_upstream.enqueue(says("Hel", "lo"))
    url = module_upstream.openai_url if vendor == "openai" else module_upstream.anthropic_url
    conversation = await client.hire(vendor, "echo", llm_api_key="sk-test-1234", llm_base_url=url)
    assert (await client.ask(conversation.id, "Hi")).text == "Hello"
    assert module_upstream.requests[0].key == "sk-test-1234"


async def test_a_client_that_goes_away_is_seen_by_nobody(client: RetinueClient) -> None:
    conversation = await client.hire(model="scripted-demo")
    async with await client.stream(conversation.id, "Hi") as stream:
        await stream.until("token")
        await stream.disconnect(reset=True)
    (await client.get(f"/conversations/{conversation.id}")).expect(200)


async def test_a_problem_is_a_problem(client: RetinueClient) -> None:
    (await client.get("/tenants/01928f6e-0000-7000-8000-000000000001")).problem(404, "not_found")


def test_a_server_starts_again_on_the_same_port(tmp_path: Path) -> None:
    environment = environment_for(f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}")
    with running_retinue(tmp_path, environment) as server:
        assert server.stop() == 0
        assert not server.process.is_running
        server.start()
        assert server.kill() == -9
        server.start()
    assert not server.process.is_running


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    environment = environment_for(f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}", RETINUE_NO_SUCH_SETTING="1")
    with pytest.raises(DidNotStart, match="RETINUE_NO_SUCH_SETTING"):
        running_retinue(tmp_path, environment).__enter__()


def test_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch, retinue: RetinueServer) -> None:
    monkeypatch.setenv("RETINUE_PORT", "1")
    assert "RETINUE_PORT" not in environment_for("sqlite+aiosqlite:///x")
    assert retinue.environment["RETINUE_PORT"] == str(retinue.port)
