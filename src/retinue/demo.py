"""A tenant with an employee to talk to, for the first five minutes with Retinue."""

import os
from typing import Any, BinaryIO
from uuid import UUID

import httpx2
import msgspec

from retinue.app import open_keyring
from retinue.crypto import Keyring
from retinue.db.session import Database, OperatorUnit, Unit
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import Employee, ModelSettings, Persona
from retinue.domain.ids import new_id, now
from retinue.domain.policy import ChatListen, Permission, TaskListen
from retinue.domain.tenants import SecretState, StoredConfig, Tenant, TenantConfig
from retinue.resources.tenants.config.service import last4
from retinue.runs.context import api_key_place
from retinue.settings import Settings

SLUG = "demo"
QUESTION = "Hello! What can you do for me?"
TALK_SECONDS = 120.0

# The first whose key stands in the environment; the offline provider if none does.
_MODELS = (("OPENAI_API_KEY", "openai", "gpt-5-mini"), ("ANTHROPIC_API_KEY", "anthropic", "claude-haiku-4-5"))
_OFFLINE = ("scripted", "scripted-demo")
_START = "Start the server with `make run` or `retinue serve --demo`."


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """What the banner's curl lines need."""

    tenant_id: UUID
    conversation_id: UUID
    employee: str
    provider: str
    model: str


class DemoFailed(Exception):
    """The turn did not work; the text says why."""


async def seed(settings: Settings) -> Seed:
    """Make sure that the demo tenant, its provider and an employee exist, and begin a conversation.

    What exists stays as it is: somebody may have changed it, or the tenant may have been theirs all along.
    """
    keyring = open_keyring(settings)
    database = Database.connect(settings.database.url)
    try:
        async with database.operator() as operator:
            tenant = await _tenant(operator)
        async with database.unit(tenant.id) as unit:
            config = await _configure(unit, keyring, tenant)
            employee = await _employee(unit)
            conversation = _conversation(employee)
            await unit.conversations.add(conversation)
    finally:
        await database.aclose()
    return Seed(
        tenant_id=tenant.id,
        conversation_id=conversation.id,
        employee=employee.name,
        provider=config.llm_provider,
        model=config.llm_model,
    )


def banner(url: str, seed: Seed | None, *, is_open: bool) -> str:
    """What `serve` prints once it listens: where, and lines to copy."""
    lines = [f"Retinue listens on {url}"]
    if is_open:
        lines.append("Open mode: nobody is asked for a key. Set RETINUE_OPERATOR_KEY to close it.")
    if seed is not None:
        header = "" if is_open else ' -H "Authorization: Bearer $RETINUE_OPERATOR_KEY"'
        messages = f"{url}/api/v1/conversations/{seed.conversation_id}/messages"
        lines += [
            f"{seed.employee}, an employee of the tenant demo, answers with {seed.model} ({seed.provider}). Say hello:",
            "",
            f"  curl -N{header} {messages}/stream \\",
            f"""    -H 'Content-Type: application/json' -d '{{"content": "{QUESTION}"}}'""",
            "",
            "And read what was said:",
            "",
            f"  curl{header} {messages}",
            "",
        ]
    return "\n".join(lines)


async def talk(url: str, message: str, operator_key: str, out: BinaryIO) -> None:
    """Have one streamed turn with the demo employee over HTTP and write the stream to `out` as it comes.

    Raises:
        DemoFailed: no server, no demo tenant, nobody who works there, or a turn that did not complete.
    """
    headers = {"Authorization": f"Bearer {operator_key}"} if operator_key else {}
    timeout = httpx2.Timeout(TALK_SECONDS)
    async with httpx2.AsyncClient(
        base_url=f"{url}/api/v1", headers=headers, timeout=timeout, trust_env=False
    ) as client:
        try:
            await _talk(client, message, out)
        except httpx2.HTTPError as error:
            raise DemoFailed(f"{url} does not answer ({type(error).__name__}). Is `make run` running?") from None


async def _talk(client: httpx2.AsyncClient, message: str, out: BinaryIO) -> None:
    tenant = await _find_tenant(client)
    employees = _decoded(await client.get(f"/employees?tenant_id={tenant['id']}&limit=1"))
    if not employees:
        raise DemoFailed(f"Nobody works for the demo tenant any more. {_START}")
    body = {"tenant_id": tenant["id"], "employee_id": employees[0]["id"], "user_id": "demo-user"}
    conversation = _decoded(await client.post("/conversations", json=body))
    path = f"/conversations/{conversation['id']}/messages/stream"
    last = b""
    async with client.stream("POST", path, json={"content": message}) as response:
        async for chunk in response.aiter_raw():
            out.write(chunk)
            out.flush()
            last = (last + chunk)[-8192:]
    if b'"status":"completed"' not in last:
        raise DemoFailed("The answer did not complete.")


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


async def _tenant(operator: OperatorUnit) -> Tenant:
    found = await operator.tenants.find_by_slug(SLUG)
    if found is not None:
        return found
    at = now()
    tenant = Tenant(id=new_id(), name="Demo", slug=SLUG, created_at=at, updated_at=at)
    await operator.tenants.add(tenant)
    return tenant


async def _configure(unit: Unit, keyring: Keyring, tenant: Tenant) -> TenantConfig:
    current = await unit.config.get_for_update()
    if current is not None:
        return current.config
    key, provider, model = None, *_OFFLINE
    for variable, name, known_model in _MODELS:
        if value := os.environ.get(variable):
            key, provider, model = value, name, known_model
            break
    at = now()
    config = TenantConfig(
        tenant_id=tenant.id,
        llm_provider=provider,
        llm_model=model,
        llm_api_key=SecretState(set=key is not None, last4=last4(key) if key else None),
        created_at=at,
        updated_at=at,
    )
    sealed = keyring.seal(key, api_key_place(config)) if key else None
    await unit.config.put(StoredConfig(config=config, sealed_api_key=sealed))
    return config


async def _employee(unit: Unit) -> Employee:
    for employee in await unit.employees.list(limit=1):
        return employee
    at = now()
    employee = Employee(
        id=new_id(),
        tenant_id=unit.tenant_id,
        slug="ada",
        name="Ada",
        role="assistant",
        system_prompt="You are Ada, a friendly assistant. Answer briefly.",
        persona=Persona(tone="warm and precise"),
        permission=Permission.READ,
        tools=(),
        model_settings=ModelSettings(),
        reasoning=None,
        capabilities=(),
        labels=(),
        chat_listen=ChatListen.ALL,
        task_listen=TaskListen.ASSIGNED,
        max_concurrent_tasks=None,
        created_at=at,
        updated_at=at,
    )
    await unit.employees.add(employee)
    return employee


def _conversation(employee: Employee) -> Conversation:
    at = now()
    return Conversation(
        id=new_id(),
        tenant_id=employee.tenant_id,
        employee_id=employee.id,
        user_id="demo-user",
        title="First steps",
        external_id=None,
        status=ConversationStatus.ACTIVE,
        message_count=0,
        created_at=at,
        updated_at=at,
        last_message_at=None,
    )
