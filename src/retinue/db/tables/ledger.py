"""The usage ledger."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Json, Word
from retinue.domain.budgets import Reservation
from retinue.domain.runs import CallOutcome
from retinue.domain.usage import Provenance

IS_OPEN = sa.text("outcome = 'open'")
IS_UNSUMMED = sa.text("outcome <> 'open' AND is_summed IS NULL")


class LedgerEntry(Owned, Base, kw_only=True):
    """One provider attempt. Its only foreign key is the tenant's: money spent outlives the conversation."""

    __tablename__ = "ledger"
    __table_args__ = (
        owner(),
        sa.Index("ix_ledger_run", "tenant_id", "run_id", "id"),
        sa.Index("ix_ledger_opened", "tenant_id", "opened_at"),
        # Few rows are ever open at once; housekeeping looks for those that nobody will close.
        sa.Index("ix_ledger_open", "opened_at", postgresql_where=IS_OPEN, sqlite_where=IS_OPEN),
        sa.Index(
            "ix_ledger_unsummed", "tenant_id", "opened_at", postgresql_where=IS_UNSUMMED, sqlite_where=IS_UNSUMMED
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    run_id: Mapped[UUID]
    conversation_id: Mapped[UUID]
    employee_id: Mapped[UUID]
    user_id: Mapped[str | None]
    key_id: Mapped[UUID | None]
    step: Mapped[int]
    attempt: Mapped[int]
    tries: Mapped[int]
    provider: Mapped[str]
    model: Mapped[str]
    outcome: Mapped[CallOutcome] = mapped_column(Word(CallOutcome))
    error_code: Mapped[str | None]
    input_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    cached_input_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    cache_write_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(sa.BigInteger)
    provenance: Mapped[Provenance | None] = mapped_column(Word(Provenance))
    cost_micros: Mapped[int | None] = mapped_column(sa.BigInteger)
    currency: Mapped[str | None]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    reservations: Mapped[tuple[Reservation, ...] | None] = mapped_column(Json(tuple[Reservation, ...]), nullable=True)
    """What the call holds of budgets until it is closed."""
    is_summed: Mapped[bool | None]
    """Whether it is in `UsageSum`. Null is no: who closes a row need not say it. If it is, nothing of it changes."""
