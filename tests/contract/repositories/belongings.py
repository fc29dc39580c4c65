"""What a tenant owns, and everything that somebody may try to do to it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from retinue.db.changes import Change
from retinue.db.session import Unit
from retinue.domain.access import ApiKey
from retinue.domain.approvals import Approval, ApprovalStatus, Decision
from retinue.domain.budgets import Budget, Quote, Reservation
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import BudgetExceeded
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id
from retinue.domain.messages import Message, MessageStatus
from retinue.domain.prices import ModelPrice
from retinue.domain.runs import LedgerEntry, Run, WaitingFor
from retinue.domain.spending import Grouping
from retinue.domain.tenants import Tenant
from retinue.domain.tools import CallStatus
from tests.contract.repositories.builders import (
    LATER,
    NOON,
    a_call,
    a_checkpoint,
    a_config,
    a_grant,
    a_message,
    a_run,
    an_approval,
    an_order,
    deltas,
)
from tests.contract.repositories.ends import ANSWER_END, CALL_END, RUN_END


class Property(msgspec.Struct, frozen=True):
    """What one tenant owns, one row in every table."""

    employee: Employee
    conversation: Conversation
    answer: Message
    run: Run
    entry: LedgerEntry
    budget: Budget
    queued: Run
    waiting: Run
    appended: Message
    approval: Approval
    allowed: Approval
    key: ApiKey


A_PRICE = ModelPrice(provider="openai", model="m", input_price=1, cache_write_price=3, output_price=2)
KEY = IdempotencyKey(route="POST /x", key="k", digest="d")
HOUR = timedelta(hours=1)


READS: dict[str, Callable[[Unit, Property], Awaitable[Any]]] = {
    "config.get": lambda unit, _: unit.config.get(),
    "api_keys.find": lambda unit, their: unit.api_keys.find(their.key.id),
    "api_keys.is_live": lambda unit, their: unit.api_keys.is_live(their.key.id),
    "api_keys.list": lambda unit, _: unit.api_keys.list(limit=9),
    "origins.list": lambda unit, _: unit.origins.list(),
    "employees.find": lambda unit, their: unit.employees.find(their.employee.id),
    "employees.list": lambda unit, _: unit.employees.list(limit=9),
    "employees.count_active_runs": lambda unit, their: unit.employees.count_active_runs(their.employee.id),
    "conversations.find": lambda unit, their: unit.conversations.find(their.conversation.id),
    "conversations.find_by_external_id": lambda unit, _: unit.conversations.find_by_external_id("x"),
    "conversations.list": lambda unit, their: unit.conversations.list(limit=9, employee_id=their.employee.id),
    "messages.find": lambda unit, their: unit.messages.find(their.answer.id),
    "messages.find_position": lambda unit, their: unit.messages.find_position(their.conversation.id, their.answer.id),
    "messages.newest": lambda unit, their: unit.messages.newest(their.conversation.id, limit=9),
    "messages.list": lambda unit, their: unit.messages.list(their.conversation.id, limit=9),
    "messages.history": lambda unit, their: unit.messages.history(
        their.conversation.id, before_position=9, max_messages=9
    ),
    "messages.appended": lambda unit, their: unit.messages.appended(their.run.id),
    "runs.find": lambda unit, their: unit.runs.find(their.run.id),
    "runs.list": lambda unit, their: unit.runs.list(their.conversation.id, limit=9),
    "runs.active": lambda unit, their: unit.runs.active(their.conversation.id),
    "runs.queued": lambda unit, their: unit.runs.queued(their.conversation.id),
    "runs.unfinished_conversations": lambda unit, _: unit.runs.unfinished_conversations(),
    "runs.next_started": lambda unit, their: unit.runs.next_started(their.conversation.id, 0),
    "run_events.read": lambda unit, their: unit.run_events.read(their.run.id),
    "run_events.count": lambda unit, their: unit.run_events.count(their.run.id),
    "checkpoints.last": lambda unit, their: unit.checkpoints.last(their.run.id),
    "checkpoints.list": lambda unit, their: unit.checkpoints.list(their.run.id),
    "tool_calls.list": lambda unit, their: unit.tool_calls.list(their.run.id),
    "tool_calls.count": lambda unit, their: unit.tool_calls.count(their.run.id),
    "approvals.find": lambda unit, their: unit.approvals.find(their.approval.id),
    "approvals.list_pending": lambda unit, _: unit.approvals.list_pending(limit=9),
    "approvals.is_late": lambda unit, their: unit.approvals.is_late(their.approval.id),
    "approvals.of_run": lambda unit, their: unit.approvals.of_run(their.run.id),
    "grants.list": lambda unit, their: unit.grants.list(their.conversation.id),
    "shop.order": lambda unit, _: unit.shop.order("1042"),
    "shop.orders": lambda unit, _: unit.shop.orders(9),
    "shop.coupons": lambda unit, _: unit.shop.coupons(9),
    "shop.action": lambda unit, _: unit.shop.action("k"),
    "audit.list": lambda unit, _: unit.audit.list(limit=9),
    "audit.about": lambda unit, _: unit.audit.about("order.cancelled", "order", ["1042"]),
    "audit.verify": lambda unit, _: _entries(unit),
    "messages.count_recent": lambda unit, their: _count_recent(unit, their.conversation),
    "limits.get": lambda unit, _: unit.limits.get(),
    "limits.count_runs": lambda unit, their: _runs_counted(unit, their.run),
    "ledger.list": lambda unit, their: unit.ledger.list(their.run.id),
    "budgets.find": lambda unit, their: unit.budgets.find(their.budget.id),
    "budgets.list": lambda unit, _: unit.budgets.list(limit=9),
    "budgets.is_bounded_by_operator": lambda unit, _: unit.budgets.is_bounded_by_operator(),
    "prices.list": lambda unit, _: unit.prices.list(),
    "usage.summarize": lambda unit, _: unit.usage.summarize(Grouping.USER, since=NOON - HOUR, until=LATER, limit=9),
    "ledger.require_money": lambda unit, their: _has_no_money(unit, their.entry),
}

WRITES: dict[str, Callable[[Unit, Property], Awaitable[Any]]] = {
    "config.get_for_update": lambda unit, _: unit.config.get_for_update(),
    "api_keys.get_for_update": lambda unit, their: unit.api_keys.get_for_update(their.key.id),
    "api_keys.revoke": lambda unit, their: unit.api_keys.revoke(their.key.id),
    "api_keys.end_within": lambda unit, their: unit.api_keys.end_within(their.key.id, 0),
    "origins.replace": lambda unit, _: unit.origins.replace(["https://thief.example"]),
    "employees.get_for_update": lambda unit, their: unit.employees.get_for_update(their.employee.id),
    "conversations.get_for_update": lambda unit, their: unit.conversations.get_for_update(their.conversation.id),
    "employees.update": lambda unit, their: unit.employees.update(their.employee),
    "employees.delete": lambda unit, their: unit.employees.delete(their.employee.id),
    "conversations.update": lambda unit, their: unit.conversations.update(their.conversation),
    "conversations.delete": lambda unit, their: unit.conversations.delete(their.conversation.id),
    "conversations.advance": lambda unit, their: unit.conversations.advance(their.conversation.id, 1),
    "conversations.advancing": lambda unit, their: _done(
        unit, unit.conversations.advancing(their.conversation.id, 1, at=LATER)
    ),
    "turns.enter": lambda unit, their: unit.turns.enter(
        their.conversation.id, key_id=their.run.key_id, default_ttl_seconds=0, counts=True, max_history=9
    ),
    "messages.finish": lambda unit, their: unit.messages.finish(their.answer.id, **ANSWER_END),
    "messages.finishing": lambda unit, their: _done(unit, unit.messages.finishing(their.answer.id, **ANSWER_END)),
    "messages.pause": lambda unit, their: unit.messages.pause(
        their.answer.id,
        content="stolen",
        reasoning=None,
        tool_log=(),
        usage=None,
        cost=None,
        metadata={},
        at=LATER,
    ),
    "messages.change_status": lambda unit, their: unit.messages.change_status(
        their.appended.id, to=MessageStatus.COMPLETED, from_=MessageStatus.PENDING
    ),
    "messages.take": lambda unit, their: unit.messages.take(their.appended.id, their.answer.id),
    "messages.withdraw": lambda unit, their: unit.messages.withdraw(their.appended.id),
    "runs.claim": lambda unit, their: unit.runs.claim(their.run.id, 1, owner="thief", lease_seconds=30),
    "runs.pause": lambda unit, their: unit.runs.pause(their.run.id, 1, waiting_for=WaitingFor.APPROVAL),
    "runs.wake": lambda unit, their: unit.runs.wake(their.waiting.id, 1),
    "runs.resume": lambda unit, their: unit.runs.resume(their.waiting.id, 1, owner="thief", lease_seconds=30),
    "runs.start": lambda unit, their: unit.runs.start(their.queued.id, owner="thief", lease_seconds=30, ordinal=9),
    "runs.release": lambda unit, their: unit.runs.release(their.run.id, 1),
    "runs.request_cancel": lambda unit, their: unit.runs.request_cancel(their.run.id),
    "runs.append": lambda unit, their: unit.runs.append(their.run.id),
    "runs.mark_pruned": lambda unit, their: unit.runs.mark_pruned(their.run.id),
    "runs.finish": lambda unit, their: unit.runs.finish(their.run.id, 1, **RUN_END),
    "runs.finishing": lambda unit, their: _done(unit, unit.runs.finishing(their.run.id, 1, **RUN_END)),
    "run_events.add": lambda unit, their: unit.run_events.add(their.run.id, 1, deltas(their.run.id, 1, 4, 1)),
    "run_events.adding": lambda unit, their: _done(
        unit, unit.run_events.adding(their.run.id, 1, deltas(their.run.id, 1, 4, 1))
    ),
    "run_events.prune": lambda unit, their: unit.run_events.prune(their.run.id),
    "checkpoints.add": lambda unit, their: unit.checkpoints.add(a_checkpoint(their.run, 2), 1),
    "erasure.keep_lease": lambda unit, _: unit.erasure.keep_lease("thief", 60),
    "erasure.remove": lambda unit, _: unit.erasure.remove("messages", 9),
    "erasure.forget_what_was_said": lambda unit, _: unit.erasure.forget_what_was_said(),
    "idempotency.forget": lambda unit, _: unit.idempotency.forget(KEY),
    "idempotency.keep": lambda unit, _: unit.idempotency.keep(KEY, answer=b"stolen"),
    "idempotency.keeping": lambda unit, _: _done(unit, unit.idempotency.keeping(KEY, answer=b"stolen")),
    "idempotency.claim": lambda unit, _: unit.idempotency.claim(KEY, keep_seconds=60),
    "conversations.session": lambda unit, their: unit.conversations.session(their.conversation.id, 0),
    "conversations.reopen": lambda unit, their: unit.conversations.reopen(their.conversation.id),
    "tool_calls.change": lambda unit, their: unit.tool_calls.change(
        their.run.id, 1, to=CallStatus.EXECUTING, from_=(CallStatus.PROPOSED,)
    ),
    "tool_calls.close_open": lambda unit, their: unit.tool_calls.close_open(their.run.id, CallStatus.FAILED, "stolen"),
    "approvals.get_for_update": lambda unit, their: unit.approvals.get_for_update(their.approval.id),
    "tool_calls.close_approved": lambda unit, their: unit.tool_calls.close_approved(
        their.run.id, CallStatus.FAILED, "stolen"
    ),
    "approvals.try_lock": lambda unit, their: _is_in_the_way(unit, their.run.id),
    "approvals.lock": lambda unit, their: unit.approvals.lock(their.run.id),
    "approvals.decide": lambda unit, their: unit.approvals.decide(
        their.approval.id,
        status=ApprovalStatus.GRANTED,
        decision=Decision.ALLOW_ONCE,
        decided_by="thief",
        comment=None,
    ),
    "approvals.expire": lambda unit, their: unit.approvals.expire(their.waiting.id),
    "approvals.supersede": lambda unit, their: unit.approvals.supersede(their.run.id),
    "approvals.supersede_one": lambda unit, their: unit.approvals.supersede_one(their.approval.id),
    "approvals.move_pause": lambda unit, their: unit.approvals.move_pause(their.run.id, attempt=9, seq=9),
    "approvals.await_password": lambda unit, their: unit.approvals.await_password(
        their.allowed.id, expires_at=LATER, tries=9
    ),
    "approvals.end_password": lambda unit, their: unit.approvals.end_password(their.allowed.id),
    "shop.order_for_update": lambda unit, _: unit.shop.order_for_update("1042"),
    "shop.update_order": lambda unit, their: unit.shop.update_order(
        an_order(tenant_of(their), tenant_id=unit.tenant_id, customer="thief")
    ),
    "limits.get_for_update": lambda unit, _: unit.limits.get_for_update(),
    "limits.lock_slots": lambda unit, _: unit.limits.lock_slots(),
    "ledger.reserve": lambda unit, their: unit.ledger.reserve(their.entry, lambda: None),
    "budgets.get_for_update": lambda unit, their: unit.budgets.get_for_update(their.budget.id),
    "budgets.update": lambda unit, their: unit.budgets.update(
        msgspec.structs.replace(their.budget, limit_micros=10**12)
    ),
    "budgets.delete": lambda unit, their: unit.budgets.delete(their.budget.id),
    "prices.replace": lambda unit, _: unit.prices.replace([A_PRICE]),
    "ledger.close": lambda unit, their: unit.ledger.close(their.entry.id, **CALL_END),
    "ledger.closing_settled": lambda unit, their: _done(
        unit, *unit.ledger.closing_settled(their.entry.id, Reservation(their.budget.id, NOON, 1), **CALL_END)
    ),
    "ledger.closing": lambda unit, their: _done(unit, unit.ledger.closing(their.entry.id, **CALL_END)),
}


HANGINGS: dict[str, Callable[[Unit, Property], Awaitable[Any]]] = {
    "message": lambda unit, their: unit.messages.add(a_message(_taken(unit, their), 7)),
    "run": lambda unit, their: unit.runs.add(a_run(_taken(unit, their)), owner="me", lease_seconds=30),
    "message, together": lambda unit, their: unit.together(
        unit.messages.adding(a_message(_taken(unit, their), 7)), missing="There is no such conversation."
    ),
    "run, together": lambda unit, their: unit.together(
        unit.runs.adding(a_run(_taken(unit, their)), owner="me", lease_seconds=30)
    ),
    "events of an end": lambda unit, their: unit.together(
        unit.run_events.adding_last(their.run.id, 1, deltas(their.run.id, 1, 4, 1))
    ),
    "tool call": lambda unit, their: unit.tool_calls.add(their.run.id, [a_call(their.run, 9)]),
    "approval": lambda unit, their: unit.approvals.add(an_approval(their.run, tenant_id=unit.tenant_id)),
    "grant": lambda unit, their: unit.grants.add(a_grant(their.approval, id=new_id(), tenant_id=unit.tenant_id)),
    "conversation": lambda unit, their: unit.conversations.add(
        msgspec.structs.replace(_taken(unit, their), id=new_id())
    ),
}


async def _done(unit: Unit, *changes: Change[Any]) -> Any:
    """What the first one tells."""
    return (await unit.together(*changes))[0]


def _taken(unit: Unit, their: Property) -> Conversation:
    """Their conversation as if it were ours."""
    return msgspec.structs.replace(their.conversation, tenant_id=unit.tenant_id)


async def _is_in_the_way(unit: Unit, run_id: UUID) -> bool:
    """Where there is nothing to lock, nobody is."""
    return not await unit.approvals.try_lock(run_id)


async def _has_no_money(unit: Unit, entry: LedgerEntry) -> bool:
    try:
        await unit.ledger.require_money(entry.spender, lambda: Quote(1, 1))
    except BudgetExceeded:
        return True
    return False


async def _runs_counted(unit: Unit, run: Run) -> int:
    used = await unit.limits.count_runs(key_id=run.key_id, user_id=run.user_id)
    return used.tenant + used.key + used.user


async def _entries(unit: Unit) -> int:
    return (await unit.audit.verify()).entries


async def _count_recent(unit: Unit, conversation: Conversation) -> int:
    since_ever = 1e9
    return (await unit.messages.count_recent(conversation.id, since_ever))[0]


def config_of(owned: Property) -> Any:
    return a_config(tenant_of(owned))


def tenant_of(owned: Property) -> Tenant:
    return Tenant(id=owned.employee.tenant_id, name="", slug="", created_at=NOON, updated_at=NOON)
