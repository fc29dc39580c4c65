"""`/audit/commands`, to the letter."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.e2e.tools.shelves import everything
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import Office, continued, pause, paused, wants, wish, with_password
from tests.support.upstream import says

pytestmark = pytest.mark.slow


async def commands(office: Office, tenant: UUID) -> list[dict[str, Any]]:
    """Newest first; the bytes checked for what must not occur in them."""
    answer = (await office.client.get(f"/audit/commands?tenant_id={tenant}")).expect(200)
    assert b"password" not in answer.body.lower()
    found: list[dict[str, Any]] = answer.json
    assert all(entry["event_type"] == "command_audit" for entry in found)
    return found


async def test_a_command_that_nobody_had_to_allow(office: Office) -> None:
    """S3-28: `approved` is false where no approval was needed."""
    conversation = await office.hire("shell_exec_safe")
    command = "apt list --upgradable"
    office.upstream.enqueue(wants(wish("shell_exec_safe", command=command, risk_level="low")), says("None."))
    answer = await office.client.ask(conversation.id, "Anything to upgrade?")
    [entry] = await commands(office, conversation.tenant_id)
    assert entry["actor"] == f"employee:{conversation.employee_id}"
    payload = entry["payload"]
    assert (payload["command"], payload["risk_level"], payload["action_type"], payload["approved"]) == (
        command,
        "low",
        "package_check",
        False,
    )
    assert payload["run_id"] == answer.start["run_id"]
    assert payload["outcome"] == "succeeded"
    assert isinstance(payload["exit_code"], int)


async def test_a_command_that_somebody_allowed(office: Office) -> None:
    conversation = await office.hire("shell_exec_safe")
    stop = await pause(office, conversation, wish("shell_exec_safe", command="uname -a"))
    assert await commands(office, conversation.tenant_id) == [], "it has not run"
    office.upstream.enqueue(says("Linux."))
    await continued(office.client, stop.run, stop.approval, approved=True)
    [entry] = await commands(office, conversation.tenant_id)
    payload = entry["payload"]
    assert (payload["command"], payload["risk_level"], payload["action_type"], payload["approved"]) == (
        "uname -a",
        "medium",
        "system_info",
        True,
    )
    assert payload["approval_id"] == stop.approval
    assert (payload["outcome"], payload["exit_code"]) == ("succeeded", 0)


async def test_a_denied_command_has_not_run(office: Office) -> None:
    conversation = await office.hire("shell_exec_safe")
    stop = await pause(office, conversation, wish("shell_exec_safe", command="uname -a"))
    office.upstream.enqueue(says("No."))
    await continued(office.client, stop.run, stop.approval, approved=False)
    assert await commands(office, conversation.tenant_id) == []


async def test_a_command_whose_password_was_wrong_was_not_made(office: Office, sudo: FakeSudo) -> None:
    """G3-7: each try is listed, with what came of it."""
    conversation = await office.hire("shell_exec_safe")
    stop = await pause(office, conversation, wish("shell_exec_safe", command="sudo false"))
    again = paused(await continued(office.client, stop.run, stop.approval, approved=True), "waiting_for_password")
    again = paused(await with_password(office.client, again.run, again.approval, "a wrong one"), "waiting_for_password")
    office.upstream.enqueue(says("It failed."))
    await with_password(office.client, again.run, again.approval, sudo.password())
    found = [entry["payload"] for entry in await commands(office, conversation.tenant_id)]
    assert [(one["command"], one["outcome"], one["exit_code"]) for one in reversed(found)] == [
        ("sudo false", "not_made", None),
        ("sudo false", "succeeded", 1),
    ]


async def test_a_certain_word_does_not_occur(office: Office, sudo: FakeSudo, workspaces: Path) -> None:
    """S3-28: not as a key, not in a command, in no spelling; one that needed it is listed all the same."""
    conversation = await office.hire("shell_exec_safe")
    word = "PassWord"
    stop = await pause(office, conversation, wish("shell_exec_safe", command=f"sudo echo the-{word}-is"))
    again = paused(await continued(office.client, stop.run, stop.approval, approved=True), "waiting_for_password")
    office.upstream.enqueue(says("Done."))
    secret = sudo.password()
    rest = await with_password(office.client, again.run, again.approval, secret)
    assert rest.end["status"] == "completed"
    [entry] = await commands(office, conversation.tenant_id)
    payload = entry["payload"]
    assert (payload["risk_level"], payload["action_type"], payload["approved"]) == ("high", "privileged", True)
    assert payload["command"].startswith("sudo echo the-")
    assert secret not in (await everything(office.server))["audit_entries"]
    verdict = (await office.client.get(f"/audit/verify?tenant_id={conversation.tenant_id}")).expect(200).json
    assert verdict["is_valid"]


async def test_pages_of_commands(office: Office) -> None:
    """G3-7: newest first, in pages that fit together, and of one tenant only."""
    conversation = await office.hire("shell_exec_safe")
    wishes = [wish("shell_exec_safe", command=f"echo {number}") for number in range(5)]
    office.upstream.enqueue(wants(*wishes), says("Five."))
    await office.client.ask(conversation.id, "Count")
    path = f"/audit/commands?tenant_id={conversation.tenant_id}&limit=2"
    seen: list[str] = []
    while path:
        answer = (await office.client.get(path)).expect(200)
        seen += [entry["payload"]["command"] for entry in answer.json]
        path = (answer.header("link") or "").partition("<")[2].partition(">")[0]
    assert seen == [f"echo {number}" for number in reversed(range(5))]
    other = await office.hire("shell_exec_safe")
    assert await commands(office, other.tenant_id) == []
