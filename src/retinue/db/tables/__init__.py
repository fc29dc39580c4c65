"""The tables. Imported as `t`, so that `t.Run` is a row's class and `Run` the domain's value."""

from retinue.db.tables.access import ApiKey, ServerSecret, TenantOrigin
from retinue.db.tables.approvals import Approval, ConversationGrant
from retinue.db.tables.audit import SURVIVORS, AuditEntry, AuditHead
from retinue.db.tables.base import Base, Owned
from retinue.db.tables.budgets import Budget, TenantPrices
from retinue.db.tables.conversations import Conversation, Message
from retinue.db.tables.employees import Employee
from retinue.db.tables.erasures import Erasure
from retinue.db.tables.idempotency import IdempotencyRecord
from retinue.db.tables.ledger import LedgerEntry
from retinue.db.tables.limits import TenantLimits
from retinue.db.tables.runs import Checkpoint, Run, RunEvents, ToolCall
from retinue.db.tables.shop import ShopAction, ShopCoupon, ShopOrder
from retinue.db.tables.tenants import Tenant, TenantConfig
from retinue.db.tables.usage import UsageReturn, UsageSum

__all__ = [
    "SURVIVORS",
    "ApiKey",
    "Approval",
    "AuditEntry",
    "AuditHead",
    "Base",
    "Budget",
    "Checkpoint",
    "Conversation",
    "ConversationGrant",
    "Employee",
    "Erasure",
    "IdempotencyRecord",
    "LedgerEntry",
    "Message",
    "Owned",
    "Run",
    "RunEvents",
    "ServerSecret",
    "ShopAction",
    "ShopCoupon",
    "ShopOrder",
    "Tenant",
    "TenantConfig",
    "TenantLimits",
    "TenantOrigin",
    "TenantPrices",
    "ToolCall",
    "UsageReturn",
    "UsageSum",
]
