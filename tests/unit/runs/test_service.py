"""Starting a run: what it is told, what it costs, and when it is refused."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import ModelSettings
from retinue.domain.errors import Conflict, EgressRefused, FieldError, InvalidRequest, RetinueError
from retinue.domain.messages import MessageStatus, Role
from retinue.domain.model_io import AssistantTurn, UserTurn
from retinue.domain.runs import CallOutcome
from retinue.providers.base import Provider, ProviderConfig
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says
from tests.unit.runs.process import KEY, Process


@pytest.fixture
def office(world: World) -> Process:
    return Process(world, *(says("Yes") for _ in range(5)))


async def test_a_short_turn_costs_two_transactions(office: Process) -> None:
    await office.configure()
    conversation = await office.world.conversation()
    office.world.database.units = 0
    await office.ask(conversation)
    assert office.world.database.units == 2


async def test_the_prompt_is_system_history_and_new_message(office: Process) -> None:
    await office.configure()
    conversation = await office.world.conversation()
    await office.service.store_message(office.world.tenant.id, conversation.id, "Before")
    first = await office.ask(conversation, "One")
    second = await office.ask(conversation, "Two")
    assert first.system == office.world.employee.system_prompt
    assert first.turns == (UserTurn("Before"), UserTurn("One"))
    assert second.turns == (*first.turns, AssistantTurn(text="Yes"), UserTurn("Two"))


async def test_what_is_stored_with_the_start(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("Yes")])
    await office.configure()
    run = await office.start(await world.conversation())
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        question, answer = await unit.messages.list(run.conversation_id, limit=10)
        (entry,) = await unit.ledger.list(run.id)
    assert (question.id, question.role, question.content) == (run.user_message_id, Role.USER, "Hi")
    assert (answer.id, answer.role, answer.status) == (run.message_id, Role.ASSISTANT, MessageStatus.STREAMING)
    assert (entry.outcome, entry.provider, entry.model) == (CallOutcome.OPEN, "stub", "tenant-model")
    gate.opened.set()
    await office.supervisor.drain(DEADLINE)


async def test_the_key_is_opened_for_the_provider_only(office: Process) -> None:
    await office.configure()
    await office.ask(await office.world.conversation())
    (config,) = office.factory.opened
    assert config.api_key == KEY
    assert KEY not in repr(config)


@pytest.mark.parametrize(
    ("tenant", "employee", "request_", "expected"),
    [
        ({}, {}, {}, ("tenant-model", 1000, None, None)),
        (
            {"max_output_tokens": 500, "temperature": 0.5, "reasoning": "low"},
            {},
            {},
            ("tenant-model", 500, 0.5, "low"),
        ),
        (
            {"max_output_tokens": 500, "temperature": 0.5, "reasoning": "low"},
            {
                "model_settings": ModelSettings(model="own", temperature=0.0, max_output_tokens=300),
                "reasoning": "high",
            },
            {},
            ("own", 300, 0.0, "high"),
        ),
        ({"reasoning": "low"}, {"reasoning": "high"}, {"reasoning": "off"}, ("tenant-model", 1000, None, "off")),
        ({"max_output_tokens": 5000}, {}, {}, ("tenant-model", 1000, None, None)),
        ({"context_tokens": 600}, {}, {}, ("tenant-model", 300, None, None)),
        ({"llm_base_url": "https://api.openai.com/v1", "llm_model": "gpt-4"}, {}, {}, ("gpt-4", 1000, None, None)),
    ],
)
async def test_whose_choice_counts(
    office: Process,
    tenant: dict[str, Any],
    employee: dict[str, Any],
    request_: dict[str, Any],
    expected: tuple[str, int, float | None, str | None],
) -> None:
    await office.configure(**tenant)
    await office.change_employee(**employee)
    asked = await office.ask(await office.world.conversation(), **request_)
    assert (asked.model, asked.max_output_tokens, asked.temperature, asked.reasoning) == expected


async def refused(office: Process, conversation: Conversation, kind: type[RetinueError], content: str = "Hi") -> str:
    """The code; nothing may have been stored."""
    tenant_id = office.world.tenant.id
    async with office.world.database.unit(tenant_id, read_only=True) as unit:
        before = await unit.messages.list(conversation.id, limit=100)
    with pytest.raises(kind) as caught:
        await office.start(conversation, content)
    async with office.world.database.unit(tenant_id, read_only=True) as unit:
        assert await unit.messages.list(conversation.id, limit=100) == before
        assert (await unit.conversations.get(conversation.id)).message_count == len(before)
    return caught.value.problem_code


async def test_without_a_provider(office: Process) -> None:
    assert await refused(office, await office.world.conversation(), Conflict) == "provider_not_configured"


async def test_without_an_employee(office: Process) -> None:
    await office.configure()
    conversation = await office.world.conversation()
    async with office.world.database.unit(office.world.tenant.id) as unit:
        await unit.employees.delete(office.world.employee.id)
    assert await refused(office, conversation, Conflict) == "employee_deleted"


async def test_a_closed_conversation_takes_nothing(office: Process) -> None:
    await office.configure()
    conversation = await office.world.conversation()
    closed = msgspec.structs.replace(conversation, status=ConversationStatus.CLOSED)
    async with office.world.database.unit(office.world.tenant.id) as unit:
        await unit.conversations.update(closed)
    assert await refused(office, conversation, Conflict) == "conversation_closed"
    with pytest.raises(Conflict):
        await office.service.store_message(office.world.tenant.id, conversation.id, "Hi")


async def test_a_message_that_the_window_cannot_hold(office: Process) -> None:
    await office.configure(context_tokens=100, max_output_tokens=50)
    conversation = await office.world.conversation()
    assert await refused(office, conversation, InvalidRequest, "word " * 1000) == "message_exceeds_context"


async def test_a_busy_conversation_and_a_busy_employee(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("Yes")], says("Yes"))
    await office.configure()
    await office.change_employee(max_concurrent_tasks=1)
    first, second = await world.conversation(), await world.conversation()
    run = await office.start(first)
    with pytest.raises(Conflict, match=str(run.id)) as busy:
        await office.start(first)
    assert busy.value.problem_code == "conversation_busy"
    with pytest.raises(Conflict) as storing:
        await office.service.store_message(world.tenant.id, first.id, "Hi")
    assert storing.value.problem_code == "conversation_busy"
    assert await refused(office, second, Conflict) == "employee_busy"
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await office.service.wait(run)
    await office.ask(second)


async def test_a_configuration_that_is_not_acceptable_any_more(
    office: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(config: ProviderConfig) -> Provider:
        del config
        raise EgressRefused("Not this one.", errors=(FieldError(pointer="/llm_base_url", detail="x"),))

    await office.configure()
    conversation = await office.world.conversation()
    monkeypatch.setattr(office.factory, "open", refuses)
    assert await refused(office, conversation, Conflict) == "provider_not_usable"
    with pytest.raises(Conflict, match="Not this one") as caught:
        await office.start(conversation)
    assert caught.value.errors == (), "the request's body has no such field"
    await office.configure(llm_provider="gone")
    assert await refused(office, conversation, Conflict) == "provider_not_usable"


async def test_a_known_model_s_window_bounds_the_prompt(office: Process) -> None:
    await office.configure(llm_base_url="https://api.openai.com/v1", llm_model="gpt-4")
    conversation = await office.world.conversation()
    fits, not_any_more = "a" * 4 * 7000, "a" * 4 * 7300
    await office.ask(conversation, fits)
    assert await refused(office, conversation, InvalidRequest, not_any_more) == "message_exceeds_context"
