"""Employees. A deleted one keeps its row, because conversations and runs go on pointing to it."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Json, Word
from retinue.domain.employees import ModelSettings, Persona
from retinue.domain.policy import ChatListen, Permission, TaskListen

_PRESENT = sa.text("deleted_at IS NULL")


class Employee(Owned, Base, kw_only=True):
    __tablename__ = "employees"
    __table_args__ = (
        owner(),
        sa.Index(
            "uq_employees_slug", "tenant_id", "slug", unique=True, sqlite_where=_PRESENT, postgresql_where=_PRESENT
        ),
        sa.Index("uq_employees_id", "id", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    slug: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    system_prompt: Mapped[str]
    persona: Mapped[Persona] = mapped_column(Json(Persona))
    permission: Mapped[Permission] = mapped_column(Word(Permission))
    tools: Mapped[tuple[str, ...]] = mapped_column(Json(tuple[str, ...]))
    model_settings: Mapped[ModelSettings] = mapped_column(Json(ModelSettings))
    reasoning: Mapped[str | None]
    capabilities: Mapped[tuple[str, ...]] = mapped_column(Json(tuple[str, ...]))
    labels: Mapped[tuple[str, ...]] = mapped_column(Json(tuple[str, ...]))
    chat_listen: Mapped[ChatListen] = mapped_column(Word(ChatListen))
    task_listen: Mapped[TaskListen] = mapped_column(Word(TaskListen))
    max_concurrent_tasks: Mapped[int | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
