"""Bodies of employee requests."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from retinue.domain.policy import ChatListen, Permission, ReasoningEffort, TaskListen
from retinue.http.schemas import (
    Count,
    JobTitle,
    ModelName,
    Name,
    RequestBody,
    ShortText,
    Slug,
    SystemPrompt,
    Temperature,
    Tokens,
    Word,
    Words,
)

Tools = Annotated[tuple[Word, ...], Meta(max_length=128)]


class PersonaBody(RequestBody, frozen=True, kw_only=True):
    """How the employee sounds."""

    tone: ShortText | UnsetType | None = UNSET
    greeting: ShortText | UnsetType | None = UNSET
    escalation_message: ShortText | UnsetType | None = UNSET


class ModelSettingsBody(RequestBody, frozen=True, kw_only=True):
    """What the employee does differently from the tenant's configuration; null inherits."""

    model: ModelName | UnsetType | None = UNSET
    temperature: Temperature | UnsetType | None = UNSET
    max_output_tokens: Tokens | UnsetType | None = UNSET


class EmployeeCreate(RequestBody, frozen=True, kw_only=True):
    tenant_id: UUID | UnsetType = UNSET
    """May be left out with a credential of the tenant, and has to agree with it."""
    name: Name
    role: JobTitle
    """Free text, such as `assistant`."""
    system_prompt: SystemPrompt
    """Stands before every conversation."""
    slug: Slug | UnsetType = UNSET
    """Unique in the tenant; left out, it is made from the name."""
    persona: PersonaBody = PersonaBody()
    permission: Permission = Permission.READ
    tools: Tools = ()
    """Names of tools that the employee may call."""
    model_settings: ModelSettingsBody = ModelSettingsBody()
    reasoning: ReasoningEffort | None = None
    """Null inherits from the tenant."""
    capabilities: Words = ()
    labels: Words = ()
    chat_listen: ChatListen = ChatListen.ALL
    task_listen: TaskListen = TaskListen.ASSIGNED
    max_concurrent_tasks: Count | None = None
    """Runs that may be active at once; null means no bound of its own."""


class EmployeeUpdate(RequestBody, frozen=True, kw_only=True):
    """What is left out stays. `persona` and `model_settings` are merged field by field; lists are replaced."""

    name: Name | UnsetType = UNSET
    role: JobTitle | UnsetType = UNSET
    system_prompt: SystemPrompt | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    persona: PersonaBody | UnsetType = UNSET
    permission: Permission | UnsetType = UNSET
    tools: Tools | UnsetType = UNSET
    model_settings: ModelSettingsBody | UnsetType = UNSET
    reasoning: ReasoningEffort | UnsetType | None = UNSET
    capabilities: Words | UnsetType = UNSET
    labels: Words | UnsetType = UNSET
    chat_listen: ChatListen | UnsetType = UNSET
    task_listen: TaskListen | UnsetType = UNSET
    max_concurrent_tasks: Count | UnsetType | None = UNSET
