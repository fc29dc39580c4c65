"""Making the demo tenant, what it needs, and a conversation."""

import os
from collections.abc import Iterable
from uuid import UUID

import msgspec

from retinue.app import open_keyring
from retinue.crypto import Keyring
from retinue.db.session import Database, OperatorUnit, Unit
from retinue.demo.orders import demo_orders
from retinue.demo.words import SLUG
from retinue.domain.audit import Actor
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import Employee, ModelSettings, Persona
from retinue.domain.ids import new_id, now
from retinue.domain.policy import ChatListen, Permission, TaskListen
from retinue.domain.tenants import SecretState, StoredConfig, Tenant, TenantConfig
from retinue.resources.tenants.config.service import last4
from retinue.runs.context import api_key_place
from retinue.settings import Settings

# The first whose key stands in the environment; the offline provider if none does.
_MODELS = (("OPENAI_API_KEY", "openai", "gpt-5-mini"), ("ANTHROPIC_API_KEY", "anthropic", "claude-haiku-4-5"))
_OFFLINE = ("scripted", "scripted-shop")
_ACTOR = Actor(kind="system", id="demo")
_TOOLS = (
    "get_order_status",
    "get_tracking_info",
    "cancel_order",
    "apply_discount",
    "generate_coupon",
    "fallback_respond",
)


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """What the banner's curl lines need."""

    tenant_id: UUID
    conversation_id: UUID
    employee: str
    provider: str
    model: str


class _Made(msgspec.Struct, frozen=True):
    """What the audit trail will say of a start."""

    action: str
    id: UUID


async def seed(settings: Settings) -> Seed:
    """Make sure that the demo tenant, its provider, its orders and an employee exist, and begin a conversation.

    What exists stays as it is: somebody may have changed it, or the tenant may have been theirs all along.
    """
    keyring = open_keyring(settings)
    database = Database.connect(settings.database.url, jobs_url=settings.database.jobs_url)
    try:
        async with database.operator() as operator:
            tenant = await _tenant(operator)
        made: list[_Made] = []
        async with database.unit(tenant.id) as unit:
            config = await _configure(unit, keyring, tenant, made)
            employee = await _employee(unit, made)
            conversation = _conversation(employee)
            await unit.conversations.add(conversation)
            made.append(_Made("conversation.created", conversation.id))
            await unit.shop.put_orders(demo_orders(tenant.id, now()))
            await _record(unit, made)
    finally:
        await database.aclose()
    return Seed(
        tenant_id=tenant.id,
        conversation_id=conversation.id,
        employee=employee.name,
        provider=config.llm_provider,
        model=config.llm_model,
    )


async def _tenant(operator: OperatorUnit) -> Tenant:
    found = await operator.tenants.find_by_slug(SLUG)
    if found is not None:
        return found
    at = now()
    tenant = Tenant(id=new_id(), name="Demo", slug=SLUG, created_at=at, updated_at=at)
    await operator.tenants.add(tenant)
    await _record(operator, [_Made("tenant.created", tenant.id)])
    return tenant


async def _record(unit: Unit | OperatorUnit, made: Iterable[_Made]) -> None:
    for one in made:
        kind = one.action.partition(".")[0]
        await unit.audit.record(one.action, object_type=kind, object_id=str(one.id), actor=_ACTOR)


async def _configure(unit: Unit, keyring: Keyring, tenant: Tenant, made: list[_Made]) -> TenantConfig:
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
    made.append(_Made("config.updated", tenant.id))
    return config


async def _employee(unit: Unit, made: list[_Made]) -> Employee:
    for employee in await unit.employees.list(limit=1):
        return employee
    at = now()
    employee = Employee(
        id=new_id(),
        tenant_id=unit.tenant_id,
        slug="ada",
        name="Ada",
        role="shop assistant",
        system_prompt="You are Ada, who looks after the orders of a small tea shop. Look up what you are asked about "
        "with your tools instead of guessing, and answer briefly.",
        persona=Persona(tone="warm and precise"),
        permission=Permission.WRITE,
        tools=_TOOLS,
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
    made.append(_Made("employee.created", employee.id))
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
