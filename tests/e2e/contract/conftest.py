"""One server per database for all modules here; every test brings tenants of its own."""

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.description import Description
from tests.e2e.contract.wire import fetch
from tests.support.databases import DIALECTS, fresh_database
from tests.support.server import RetinueServer, environment_for, running_retinue
from tests.support.upstream import RecordedRequest, ThreadedUpstream, upstream_in_thread

GOOD_KEY = "fake-key-0123456789-wxyz"


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[ThreadedUpstream]:
    with upstream_in_thread() as running:
        yield running


@pytest.fixture(scope="session")
def dead_address() -> Iterator[str]:
    """An address that the server may call and where nobody listens. Bound, so that nobody else takes it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture(scope="session", params=DIALECTS)
def retinue(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_upstream: ThreadedUpstream,
    dead_address: str,
) -> Iterator[RetinueServer]:
    folder = tmp_path_factory.mktemp("retinue")
    with (
        fresh_database(request, request.param, folder) as url,
        running_retinue(folder, environment_for(url, allow=f"{shared_upstream.address},{dead_address}")) as server,
    ):
        yield server


@pytest.fixture
def upstream(shared_upstream: ThreadedUpstream) -> ThreadedUpstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(scope="session")
def description(retinue: RetinueServer) -> Description:
    """What the running server says about itself."""
    answer = fetch(retinue.address, "GET", "/openapi.json")
    assert answer.status == 200, answer.body
    return Description(msgspec.json.decode(answer.body))


@pytest.fixture
def client(retinue: RetinueServer, description: Description) -> CheckedClient:
    """A client with the operator key that holds every answer against the description."""
    return CheckedClient(retinue.address, retinue.key, description)


@pytest.fixture(autouse=True)
def serves_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did: no unforeseen failure was logged, and the server still answers."""
    if "retinue" not in request.fixturenames:
        yield
        return
    server: RetinueServer = request.getfixturevalue("retinue")
    before = len(server.output)
    yield
    written = server.output[before:]
    assert "Traceback" not in written, written
    assert "request failed" not in written, written
    # Not whether it is ready: a machine that is busy with tests may rightly say no.
    assert fetch(server.address, "GET", "/api/v1/health").status == 200


class Vendor:
    """One form of the fake upstream, as a tenant configures it."""

    def __init__(self, name: str, upstream: ThreadedUpstream) -> None:
        self.name = name
        self.url = upstream.openai_url if name == "openai" else upstream.anthropic_url

    def config(self, model: str = "echo", **fields: Any) -> dict[str, Any]:
        return {
            "llm_provider": self.name,
            "llm_model": model,
            "llm_api_key": GOOD_KEY,
            "llm_base_url": self.url,
            **fields,
        }

    async def hire(self, client: CheckedClient, model: str = "echo", **fields: Any) -> Conversation:
        """A conversation with a new employee of a new tenant whose provider this is."""
        tenant = await client.create_tenant()
        (await client.put(f"/tenants/{tenant.id}/config", self.config(model))).expect(200)
        employee = await client.create_employee(tenant.id, **fields)
        return await client.create_conversation(tenant.id, employee.id)

    def prompt(self, record: RecordedRequest) -> list[tuple[str, str]]:
        """Role and text of everything the model was told, in order."""
        system = [("system", record.body["system"])] if self.name == "anthropic" else []
        return system + [(turn["role"], _text(turn["content"])) for turn in record.body["messages"]]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


@pytest.fixture(params=["openai", "anthropic"])
def vendor(request: pytest.FixtureRequest, upstream: ThreadedUpstream) -> Vendor:
    return Vendor(request.param, upstream)
