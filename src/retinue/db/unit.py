"""Units of work: one transaction and the repositories that see it."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import structlog

from retinue.db.changes import Change, R
from retinue.db.executor import Executor
from retinue.db.repositories.access import AccessReads, ApiKeyRepository, OriginRepository, ServerSecrets
from retinue.db.repositories.approvals import ApprovalRepository, GrantRepository
from retinue.db.repositories.audit import AuditRepository
from retinue.db.repositories.budgets import BudgetRepository
from retinue.db.repositories.checkpoints import CheckpointRepository
from retinue.db.repositories.config import ConfigRepository
from retinue.db.repositories.conversations import ConversationRepository
from retinue.db.repositories.employees import EmployeeRepository
from retinue.db.repositories.erasure import ErasureRepository, Erasures
from retinue.db.repositories.housekeeping import Housekeeping
from retinue.db.repositories.idempotency import OPERATOR, IdempotencyRepository
from retinue.db.repositories.ledger import LedgerRepository
from retinue.db.repositories.limits import LimitsRepository
from retinue.db.repositories.messages import MessageRepository
from retinue.db.repositories.operator import Locators, TenantsRepository
from retinue.db.repositories.prices import PriceRepository
from retinue.db.repositories.run_events import RunEventRepository
from retinue.db.repositories.runs import RunRepository
from retinue.db.repositories.sealed import SealedValues
from retinue.db.repositories.shop import ShopRepository
from retinue.db.repositories.summing import UsageSums
from retinue.db.repositories.tool_calls import ToolCallRepository
from retinue.db.repositories.turns import TurnRepository
from retinue.db.repositories.usage import UsageRepository
from retinue.db.scripts import Script
from retinue.domain.audit import SYSTEM
from retinue.domain.budgets import Alert

_log = structlog.get_logger(__name__)


class _Flushed:
    """A unit that writes something only when it ends."""

    async def flush(self) -> None:
        """Write it. The transaction calls this before it commits."""
        if (audit := self._audit) is not None:
            await audit.flush()

    @property
    def is_flushed(self) -> bool:
        """Whether nothing is to be written at its end."""
        return (audit := self._audit) is None or audit.is_flushed

    @property
    def _audit(self) -> AuditRepository | None:
        """If anybody has asked for it."""
        return vars(self).get("audit")

    @cached_property
    def after_commit(self) -> list[Callable[[], None]]:
        """What is to be told once this is committed, and not at all otherwise. None of it may raise."""
        return []


class Unit(_Flushed):
    """What one tenant's code can reach. Another tenant's rows cannot be named here."""

    def __init__(self, tenant_id: UUID, executor: Executor) -> None:
        self.tenant_id = tenant_id
        self._executor = executor

    async def clock(self) -> datetime:
        """The database's present time."""
        return await self._executor.clock()

    async def together(self, *changes: Change[Any], missing: str = "") -> list[Any]:
        """Carry out changes of several repositories at once; see `Executor.together`."""
        return await self._executor.together(changes, missing=missing)

    async def end_with(self, script: Script[R], *, missing: str = "") -> R:
        """Carry out a script as the last that the unit does; see `Executor.perform`. On SQLite it may be committed when
        this returns, so nothing may be asked any more, and whoever does not want it has to raise in the script.
        """
        return await self._executor.perform(script, missing=missing, is_last=lambda: self.is_flushed)

    async def flush(self) -> None:
        for alert in await ledger.flush() if (ledger := self._ledger) is not None else ():
            await self._raise(alert)
        await super().flush()

    @property
    def is_flushed(self) -> bool:
        return ((ledger := self._ledger) is None or ledger.is_flushed) and super().is_flushed

    @property
    def _ledger(self) -> LedgerRepository | None:
        """If anybody has asked for it."""
        return vars(self).get("ledger")

    @cached_property
    def config(self) -> ConfigRepository:
        return ConfigRepository(self.tenant_id, self._executor)

    @cached_property
    def api_keys(self) -> ApiKeyRepository:
        return ApiKeyRepository(self.tenant_id, self._executor)

    @cached_property
    def origins(self) -> OriginRepository:
        return OriginRepository(self.tenant_id, self._executor)

    @cached_property
    def employees(self) -> EmployeeRepository:
        return EmployeeRepository(self.tenant_id, self._executor)

    @cached_property
    def conversations(self) -> ConversationRepository:
        return ConversationRepository(self.tenant_id, self._executor)

    @cached_property
    def turns(self) -> TurnRepository:
        return TurnRepository(self.tenant_id, self._executor)

    @cached_property
    def messages(self) -> MessageRepository:
        return MessageRepository(self.tenant_id, self._executor)

    @cached_property
    def runs(self) -> RunRepository:
        return RunRepository(self.tenant_id, self._executor)

    @cached_property
    def run_events(self) -> RunEventRepository:
        return RunEventRepository(self.tenant_id, self._executor)

    @cached_property
    def checkpoints(self) -> CheckpointRepository:
        return CheckpointRepository(self.tenant_id, self._executor)

    @cached_property
    def tool_calls(self) -> ToolCallRepository:
        return ToolCallRepository(self.tenant_id, self._executor)

    @cached_property
    def approvals(self) -> ApprovalRepository:
        return ApprovalRepository(self.tenant_id, self._executor)

    @cached_property
    def grants(self) -> GrantRepository:
        return GrantRepository(self.tenant_id, self._executor)

    @cached_property
    def audit(self) -> AuditRepository:
        return AuditRepository(self.tenant_id, self._executor)

    @cached_property
    def shop(self) -> ShopRepository:
        return ShopRepository(self.tenant_id, self._executor)

    @cached_property
    def limits(self) -> LimitsRepository:
        return LimitsRepository(self.tenant_id, self._executor)

    @cached_property
    def ledger(self) -> LedgerRepository:
        return LedgerRepository(self.tenant_id, self._executor)

    @cached_property
    def budgets(self) -> BudgetRepository:
        return BudgetRepository(self.tenant_id, self._executor)

    @cached_property
    def prices(self) -> PriceRepository:
        return PriceRepository(self.tenant_id, self._executor)

    @cached_property
    def usage(self) -> UsageRepository:
        return UsageRepository(self.tenant_id, self._executor)

    @cached_property
    def idempotency(self) -> IdempotencyRepository:
        return IdempotencyRepository(self.tenant_id, self._executor)

    @cached_property
    def erasure(self) -> ErasureRepository:
        return ErasureRepository(self.tenant_id, self._executor)

    async def _raise(self, alert: Alert) -> None:
        budget = alert.budget
        payload = {
            "subject": budget.subject.value,
            "subject_id": budget.subject_id,
            "period": budget.period.value,
            "period_start": budget.period_start.isoformat(),
            "spent_micros": budget.spent_micros,
            "limit_micros": budget.limit_micros,
            "soft_percent": budget.soft_percent,
        }
        await self.audit.record(
            "budget.alerted", object_type="budget", object_id=str(budget.id), payload=payload, actor=SYSTEM
        )
        told = {"tenant_id": str(self.tenant_id), "budget_id": str(budget.id), **payload}
        self.after_commit.append(lambda: _log.warning("budget_alerted", **told))


class OperatorUnit(_Flushed, Locators, Housekeeping):
    """What the operator, and Retinue's own housekeeping, can reach."""

    @cached_property
    def tenants(self) -> TenantsRepository:
        return TenantsRepository(self._executor)

    @cached_property
    def idempotency(self) -> IdempotencyRepository:
        """Of the operator's own requests."""
        return IdempotencyRepository(OPERATOR, self._executor)

    @cached_property
    def audit(self) -> AuditRepository:
        """Of what the operator does to tenants as such."""
        return AuditRepository(OPERATOR, self._executor)

    @cached_property
    def access(self) -> AccessReads:
        return AccessReads(self._executor)

    @cached_property
    def server_secrets(self) -> ServerSecrets:
        return ServerSecrets(self._executor)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self._executor)

    @cached_property
    def sealed(self) -> SealedValues:
        return SealedValues(self._executor)

    @cached_property
    def usage(self) -> UsageSums:
        return UsageSums(self._executor)
