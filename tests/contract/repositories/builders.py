"""Values with every field set to something that a careless mapping would lose."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.approvals import Approval, Grant
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import Employee, ModelSettings, Persona
from retinue.domain.events import RecordedEvent, RunCompleted, TextDelta
from retinue.domain.ids import Position, ms_of, new_id
from retinue.domain.messages import Message, MessageStatus, Role, ToolLogEntry
from retinue.domain.model_io import (
    AssistantTurn,
    PartKind,
    ReasoningBlock,
    Stretch,
    ToolCall,
    ToolResult,
    ToolTurn,
    UserTurn,
)
from retinue.domain.policy import ChatListen, Permission, TaskListen
from retinue.domain.runs import CallOutcome, Checkpoint, LedgerEntry, Run, RunStatus
from retinue.domain.shop import Coupon, Order, OrderStatus
from retinue.domain.tenants import SecretState, StoredConfig, Tenant, TenantConfig
from retinue.domain.tools import Effect, JournalEntry, Risk
from retinue.domain.usage import Cost, GenerationStats, Provenance, Usage

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, 0, 0, 1, tzinfo=UTC)
NEVER = datetime(2999, 1, 1, tzinfo=UTC)
USAGE = Usage(
    input_tokens=5_000_000_000,
    cached_input_tokens=0,
    cache_write_tokens=None,
    output_tokens=7,
    reasoning_tokens=3,
    provenance=Provenance.ESTIMATED,
)
COST = Cost(micros=9_000_000_000_000, currency="EUR")
STATS = GenerationStats(avg_tokens_per_second=12.5, time_to_first_token_ms=321)
TOOL_LOG = (
    ToolLogEntry(
        tool_call_id="c1", name="search", args={"q": "ü"}, result={"hits": [1, None]}, error=None, duration_ms=12
    ),
    ToolLogEntry(tool_call_id="c2", name="search", args="{broken", result=None, error="not JSON", duration_ms=0),
)


def a_tenant(**changes: Any) -> Tenant:
    tenant = Tenant(id=new_id(), name="Acme & Söhne", slug="acme", created_at=NOON, updated_at=NOON)
    return msgspec.structs.replace(tenant, **changes)


def a_config(tenant: Tenant, *, sealed: bytes | None = b"\x00sealed\xff", **changes: Any) -> StoredConfig:
    config = TenantConfig(
        tenant_id=tenant.id,
        llm_provider="openai",
        llm_model="gpt-4",
        llm_api_key=SecretState(set=sealed is not None, last4="abcd" if sealed else None),
        llm_base_url="https://models.example/v1",
        context_tokens=128_000,
        max_output_tokens=4096,
        temperature=0.7,
        reasoning="low",
        options={"include_usage": False},
        created_at=NOON,
        updated_at=NOON,
    )
    return StoredConfig(config=msgspec.structs.replace(config, **changes), sealed_api_key=sealed)


def an_employee(tenant: Tenant, **changes: Any) -> Employee:
    employee = Employee(
        id=new_id(),
        tenant_id=tenant.id,
        slug="ada",
        name="Ada",
        role="assistant",
        system_prompt="You help.",
        persona=Persona(tone="dry", greeting=None, escalation_message="A human comes."),
        permission=Permission.WRITE,
        tools=("search", "shell"),
        model_settings=ModelSettings(model="gpt-4o", temperature=0.0),
        reasoning="high",
        capabilities=("billing",),
        labels=(),
        chat_listen=ChatListen.MENTIONS,
        task_listen=TaskListen.ASSIGNED,
        max_concurrent_tasks=2,
        created_at=NOON,
        updated_at=NOON,
    )
    return msgspec.structs.replace(employee, **changes)


def a_conversation(employee: Employee, **changes: Any) -> Conversation:
    conversation = Conversation(
        id=new_id(),
        tenant_id=employee.tenant_id,
        employee_id=employee.id,
        user_id="user-1",
        title="Invoices",
        external_id=None,
        status=ConversationStatus.ACTIVE,
        message_count=0,
        created_at=NOON,
        updated_at=NOON,
        last_message_at=None,
    )
    return msgspec.structs.replace(conversation, **changes)


def a_message(conversation: Conversation, position: int, **changes: Any) -> Message:
    message = Message(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        position=position,
        role=Role.USER,
        content=f"message {position}",
        created_at=NOON,
        updated_at=NOON,
    )
    return msgspec.structs.replace(message, **changes)


def an_answer(conversation: Conversation, position: int, **changes: Any) -> Message:
    return a_message(conversation, position, role=Role.ASSISTANT, content="", status=MessageStatus.STREAMING, **changes)


def a_run(conversation: Conversation, **changes: Any) -> Run:
    run = Run(
        id=new_id(),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        employee_id=conversation.employee_id,
        user_message_id=new_id(),
        message_id=new_id(),
        status=RunStatus.RUNNING,
        attempt=1,
        position=1,
        created_at=NOON,
    )
    return msgspec.structs.replace(run, **changes)


def an_entry(run: Run, **changes: Any) -> LedgerEntry:
    entry = LedgerEntry(
        id=new_id(),
        tenant_id=run.tenant_id,
        run_id=run.id,
        conversation_id=run.conversation_id,
        employee_id=run.employee_id,
        step=1,
        attempt=1,
        tries=1,
        provider="openai",
        model="gpt-4",
        outcome=CallOutcome.OPEN,
        opened_at=NOON,
    )
    return msgspec.structs.replace(entry, **changes)


def a_checkpoint(run: Run, step: int, **changes: Any) -> Checkpoint:
    checkpoint = Checkpoint(
        run_id=run.id,
        step=step,
        position=Position(1, step * 10),
        turns=(
            AssistantTurn(
                text="ü",
                reasoning=(ReasoningBlock(text="hm", signature="s"), ReasoningBlock(redacted="r")),
                tool_calls=(ToolCall(id="c1", name="search", arguments="{broken", extra={"sig": [1]}),),
                order=(Stretch(PartKind.TEXT, 1), Stretch(PartKind.REASONING, 2)),
                producer="p",
            ),
            ToolTurn((ToolResult(call_id="c1", name="search", content="\x00", is_error=True),)),
            UserTurn("and this?"),
        ),
    )
    return msgspec.structs.replace(checkpoint, **changes)


def a_call(run: Run, position: int, **changes: Any) -> JournalEntry:
    call = JournalEntry(
        run_id=run.id,
        position=position,
        step=2,
        call_id=f"c{position}",
        name="cancel_order",
        version="1",
        args={"order_id": "ü", "n": [1, None, 0.5]},
        effect=Effect.WRITE,
        risk=Risk.MEDIUM,
    )
    return msgspec.structs.replace(call, **changes)


def an_approval(run: Run, call_position: int = 1, **changes: Any) -> Approval:
    """Pending, and nobody will miss its time."""
    approval = Approval(
        id=new_id(),
        tenant_id=run.tenant_id,
        run_id=run.id,
        conversation_id=run.conversation_id,
        employee_id=run.employee_id,
        call_position=call_position,
        tool_call_id=f"c{call_position}",
        tool="cancel_order",
        tool_version="1",
        args={"order_id": "ü", "n": [1, None, 0.5]},
        digest="ab" * 32,
        effect=Effect.IDEMPOTENT,
        risk=Risk.MEDIUM,
        scope="/srv",
        reason="It cancels an order.",
        message="May Ada cancel an order?",
        requested_at=NOON,
        expires_at=NEVER,
        paused_attempt=1,
        paused_seq=7,
    )
    return msgspec.structs.replace(approval, **changes)


def a_grant(approval: Approval, **changes: Any) -> Grant:
    grant = Grant(
        id=new_id(),
        tenant_id=approval.tenant_id,
        conversation_id=approval.conversation_id,
        approval_id=approval.id,
        tool=approval.tool,
        tool_version=approval.tool_version,
        effect=approval.effect,
        risk=approval.risk,
        scope=approval.scope,
        granted_by="operator",
        created_at=NOON,
    )
    return msgspec.structs.replace(grant, **changes)


def an_order(tenant: Tenant, **changes: Any) -> Order:
    order = Order(
        id="1042",
        tenant_id=tenant.id,
        customer="Zoë",
        item="Lamp",
        status=OrderStatus.SHIPPED,
        total_cents=5_000_000_000,
        currency="EUR",
        discount_percent=5,
        carrier="DHL",
        tracking_number="00340",
        expected_at=LATER,
        created_at=NOON,
        updated_at=NOON,
    )
    return msgspec.structs.replace(order, **changes)


def a_coupon(tenant: Tenant, **changes: Any) -> Coupon:
    coupon = Coupon(code="SAVE10-0000ABCD", tenant_id=tenant.id, discount_percent=10, expires_at=LATER, created_at=NOON)
    return msgspec.structs.replace(coupon, **changes)


def seconds_ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def an_end(run: Run, seq: int, attempt: int = 1) -> RecordedEvent:
    """The terminal event at a position."""
    event = RunCompleted(
        conversation_id=run.conversation_id,
        message_id=run.message_id,
        finish_reason="stop",
        usage=USAGE,
        cost=COST,
        generation_stats=STATS,
        tool_log=TOOL_LOG,
        event_count=seq,
        text_sha256="ab" * 32,
        metadata={"scripted": True},
    )
    return RecordedEvent(run.id, attempt, seq, ms_of(datetime(2026, 3, 1, 12, tzinfo=UTC)), event)


def deltas(run_id: UUID, attempt: int, first: int, count: int) -> list[RecordedEvent]:
    """Text deltas at consecutive positions; their text names the position."""
    at = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
    return [
        RecordedEvent(run_id, attempt, seq, ms_of(at), TextDelta(delta=f"{attempt}-{seq} "))
        for seq in range(first, first + count)
    ]
