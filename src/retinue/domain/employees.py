"""AI employees."""

from datetime import datetime
from uuid import UUID

import msgspec

from retinue.domain.policy import ChatListen, Permission, ReasoningEffort, TaskListen


class Persona(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an employee sounds. Every part that is set becomes a line of the system prompt."""

    tone: str | None = None
    greeting: str | None = None
    escalation_message: str | None = None


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an employee does differently from its tenant's configuration; null inherits."""

    model: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None


class Employee(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    slug: str
    name: str
    role: str
    system_prompt: str
    persona: Persona
    permission: Permission
    tools: tuple[str, ...]
    model_settings: ModelSettings
    reasoning: ReasoningEffort | None
    capabilities: tuple[str, ...]
    labels: tuple[str, ...]
    chat_listen: ChatListen
    task_listen: TaskListen
    max_concurrent_tasks: int | None
    """Runs of this employee that may be active at once; null means no bound of its own."""
    created_at: datetime
    updated_at: datetime
