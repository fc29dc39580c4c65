"""Everything a run needs to know before its first model call, read in the transaction that starts it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from retinue.crypto import Keyring, Place
from retinue.db.repositories.turns import Cast
from retinue.db.session import Unit
from retinue.domain.budgets import Quote
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.encoding import encode_text
from retinue.domain.errors import Conflict
from retinue.domain.model_io import ModelRequest, ToolSpec, Turn, UserTurn
from retinue.domain.policy import OnBusy, ReasoningEffort, RunLimits
from retinue.domain.prices import ModelPrice
from retinue.domain.runs import RunOptions
from retinue.domain.tenants import StoredConfig, TenantConfig
from retinue.providers.base import ProviderConfig, ProviderOptions
from retinue.providers.estimate import estimate_input, estimate_tokens, estimate_turn
from retinue.providers.pricing import Pricing, context_window
from retinue.runs.prompt import HISTORY_MARGIN, fit_history, fit_turns, shorten_results, system_prompt
from retinue.tools.registry import ToolRegistry


class RunCreate(msgspec.Struct, frozen=True, kw_only=True):
    """A user's message that asks for an answer."""

    content: str
    reasoning: ReasoningEffort | None = None
    on_busy: OnBusy = "reject"
    key_id: UUID | None = None
    """The key with which it is asked for; null for the operator's."""

    @property
    def options(self) -> RunOptions:
        return RunOptions(reasoning=self.reasoning)


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """The run's input. Holds the provider's key in clear; lives in memory only."""

    conversation: Conversation
    employee: Employee
    provider: ProviderConfig
    system: str
    turns: tuple[Turn, ...]
    model: str
    max_output_tokens: int
    temperature: float | None
    reasoning: ReasoningEffort | None
    limits: RunLimits
    tools: tuple[ToolSpec, ...] = ()
    """What the model is offered."""
    input_tokens: int = 2**31
    """What system prompt and turns may have together, estimated."""
    prices: tuple[ModelPrice, ...] = ()
    """The tenant's own."""

    @property
    def pricing(self) -> Pricing:
        """Of the run's model."""
        return self.pricing_of(self.provider.provider, self.model)

    def first_quote(self) -> Quote | None:
        """What the first model call may cost; null where the price is not known."""
        return self.pricing.quote(estimate_input(self.model_request(())), self.max_output_tokens)

    def pricing_of(self, provider: str, model: str) -> Pricing:
        """Of a model that the run may have asked before."""
        return Pricing.of(self.prices, provider=provider, model=model, base_url=self.provider.base_url)

    def model_request(self, turns: Sequence[Turn]) -> ModelRequest:
        """The next model call, with what the steps before it added. It pushes out the oldest history, where both do not
        fit, and where it does not fit even then, the results of its own oldest tool calls."""
        return ModelRequest(
            model=self.model,
            system=self.system,
            turns=self._beside_history(turns) if turns else self.turns,
            tools=self.tools,
            max_output_tokens=self.max_output_tokens,
            temperature=self.temperature,
            reasoning=self.reasoning,
        )

    def _beside_history(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        *earlier, question = self.turns
        fixed = sum(estimate_turn(turn) for turn in (question, *turns))
        room: float = self.input_tokens - estimate_tokens(self.system) - estimate_tools(self.tools)
        excess = HISTORY_MARGIN * fixed - room
        if excess > 0:
            return (question, *shorten_results(turns, excess))
        return (*fit_turns(earlier, room - fixed), question, *turns)

    def __repr__(self) -> str:
        return f"RunContext(conversation={self.conversation.id}, employee={self.employee.id})"

    __str__ = __repr__


def api_key_place(config: TenantConfig) -> Place:
    """Where a tenant's provider key is stored; the key decrypts nowhere else."""
    return Place(tenant=config.tenant_id, table="tenant_configs", column="sealed_api_key", row=config.tenant_id)


async def load_provider(unit: Unit, keyring: Keyring) -> tuple[StoredConfig, ProviderConfig]:
    """The tenant's provider with its key opened.

    Raises:
        Conflict: `provider_not_configured`.
    """
    return _provider_of(await unit.config.get(), keyring)


def _provider_of(stored: StoredConfig | None, keyring: Keyring) -> tuple[StoredConfig, ProviderConfig]:
    if stored is None:
        raise Conflict("This tenant has no model provider yet.", code="provider_not_configured")
    return stored, open_provider(stored, keyring)


def open_provider(stored: StoredConfig, keyring: Keyring) -> ProviderConfig:
    """The configuration in the form that providers take, with the key in clear."""
    config = stored.config
    key = keyring.open(stored.sealed_api_key, api_key_place(config)) if stored.sealed_api_key else None
    return ProviderConfig(
        provider=config.llm_provider,
        model=config.llm_model,
        api_key=key,
        base_url=config.llm_base_url,
        options=msgspec.convert(config.options, ProviderOptions),
    )


async def load_context(
    unit: Unit,
    conversation: Conversation,
    content: str,
    options: RunOptions,
    *,
    keyring: Keyring,
    limits: RunLimits,
    tools: ToolRegistry,
    position: int,
    cast: Cast | None = None,
) -> RunContext:
    """Read employee, provider and history, and settle every choice that has defaults.

    The request's choice beats the employee's, which beats the tenant's, which beats the server's.

    Args:
        content: the message that is to be answered.
        position: its place in the conversation; the history ends before it.
        cast: employee, provider and history, if they were read before in this transaction.

    Raises:
        Conflict: `provider_not_configured` or `employee_deleted`.
        InvalidRequest: `message_exceeds_context`.
    """
    if cast is None:
        cast = Cast(await unit.config.get(), await unit.employees.find(conversation.employee_id))
    stored, provider = _provider_of(cast.config, keyring)
    config = stored.config
    employee = cast.employee
    if employee is None:
        raise Conflict("The employee of this conversation no longer works here.", code="employee_deleted")
    own = employee.model_settings
    model = own.model or config.llm_model
    window = config.context_tokens or _known_window(provider, model) or limits.context_tokens
    answer_room = _answer_room(own.max_output_tokens or config.max_output_tokens, window, limits)
    system = system_prompt(employee)
    specs = tools.specs(employee.tools)
    history = cast.history
    if history is None:
        history = await unit.messages.history(
            conversation.id, before_position=position, max_messages=limits.history_messages
        )
    return RunContext(
        conversation=conversation,
        employee=employee,
        provider=provider,
        system=system,
        turns=fit_history(
            history,
            system=system,
            message=content,
            window=window,
            answer_room=answer_room + estimate_tools(specs),
            estimate=estimate_tokens,
            margin=HISTORY_MARGIN,
            echo_reasoning=bool(provider.options.echo_reasoning),
        ),
        model=model,
        max_output_tokens=answer_room,
        temperature=own.temperature if own.temperature is not None else config.temperature,
        reasoning=options.reasoning or employee.reasoning or config.reasoning,
        limits=limits,
        tools=specs,
        input_tokens=window - answer_room,
        prices=stored.prices,
    )


def estimate_tools(tools: Sequence[ToolSpec]) -> int:
    """What the descriptions of the tools take of the model's window."""
    return estimate_tokens(encode_text(tools)) if tools else 0


def trial_request(config: TenantConfig, limits: RunLimits) -> ModelRequest:
    """A small question with the settings that a run has where neither request nor employee chooses others."""
    return ModelRequest(
        model=config.llm_model,
        system="This is a test of the connection.",
        turns=(UserTurn("Answer with the word ok."),),
        max_output_tokens=_answer_room(
            config.max_output_tokens, config.context_tokens or limits.context_tokens, limits
        ),
        temperature=config.temperature,
        reasoning=config.reasoning,
    )


def _known_window(provider: ProviderConfig, model: str) -> int | None:
    return context_window(provider=provider.provider, model=model, base_url=provider.base_url)


def _answer_room(chosen: int | None, window: int, limits: RunLimits) -> int:
    """Tokens that an answer may have. Where nobody chose, a small window is shared evenly with the prompt."""
    return min(chosen or max(window // 2, 1), limits.max_output_tokens)
