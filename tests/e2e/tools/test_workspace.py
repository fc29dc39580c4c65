"""Files and commands: what is done at once, what is asked for, and how the run goes on after a decision."""

from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.talk import VENDORS, Vendor, check_stream
from tests.e2e.tools.shelves import journal
from tests.e2e.tools.work import (
    Office,
    Wish,
    allow,
    approval_of,
    continued,
    decide,
    finished,
    pause,
    paused,
    pending,
    results_shown,
    wants,
    wish,
)
from tests.support.client import StreamedAnswer
from tests.support.upstream import says

pytestmark = pytest.mark.slow

WORKSPACE = ("file_read", "list_dir", "shell_exec_safe")
TEXT = "Первая строка\nsecond line\n"


class Desk(NamedTuple):
    """A conversation, and the root of its tenant's workspace, with a file in it."""

    office: Office
    conversation: Conversation
    root: Path

    async def asks(self, *wishes: Wish, say: str = "Done.") -> StreamedAnswer:
        """What becomes of calls that nobody has to decide about."""
        self.office.upstream.enqueue(wants(*wishes), says(say))
        return check_stream((await self.office.client.ask(self.conversation.id, "Please look.")).frames)


def root_of(workspaces: Path, tenant: UUID) -> Path:
    root = workspaces / str(tenant)
    root.mkdir(mode=0o700, exist_ok=True)
    return root


async def desk_of(office: Office, workspaces: Path, vendor: Vendor = "openai") -> Desk:
    conversation = await office.hire(*WORKSPACE, vendor=vendor)
    root = root_of(workspaces, conversation.tenant_id)
    (root / "notes.txt").write_text(TEXT)
    return Desk(office, conversation, root)


@pytest.fixture
async def desk(office: Office, workspaces: Path) -> Desk:
    return await desk_of(office, workspaces)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that is nobody's workspace."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "ledger-2025.csv").write_text("a,b\n")
    return folder


@pytest.mark.parametrize("vendor", VENDORS)
async def test_leaving_the_workspace(office: Office, workspaces: Path, outside: Path, vendor: Vendor) -> None:
    """S3-20…S3-25 in one go: asked, listed, allowed once, gone on with, answered, stored."""
    desk = await desk_of(office, workspaces, vendor)
    look = wish("list_dir", path=str(outside), risk_level="low", reason="I have to see it.")
    stop = await pause(office, desk.conversation, look)
    body = b"".join(frame.raw for frame in stop.answer.frames)
    asked = body[body.index(b"event: tool_approval_requested") :].partition(b"\n\n")[0]
    assert b'"list_dir"' in asked
    assert str(outside).encode() in asked
    [frame] = stop.answer.of("tool_approval_requested")
    assert str(outside) in frame["reason"]
    assert frame["risk_level"] == "low"
    assert stop.answer.end["status"] == "waiting_for_approval"

    [listed] = await pending(office.client, desk.conversation.tenant_id)
    assert (listed["approval_id"], listed["task_id"]) == (stop.approval, stop.run)
    assert listed["scope"] == str(outside)
    office.upstream.enqueue(says("Там лежит ", "ledger-2025.csv."))
    await allow(office.client, stop.approval)
    rest = await continued(office.client, stop.run, stop.approval)
    types = rest.types
    stages = [status["stage"] for status in rest.of("runtime_status")]
    assert stages == ["running_tool", "planning", "answering"]
    assert types.index("runtime_status") < types.index("tool_call_finished") < types.index("token")
    assert types[-1] == "message_end"
    [(tool, result, error)] = finished(rest)
    assert (tool, error) == ("list_dir", None)
    assert "ledger-2025.csv" in str(result)

    assert office.times_asked == 2
    shown = [[result.call for result in results_shown(request)] for request in office.upstream.requests]
    assert shown == [[], [look.id]], "planned once; then the answer, with what was seen"
    assert "ledger-2025.csv" in results_shown(office.upstream.requests[1])[0].text
    last = (await office.client.get(f"/conversations/{desk.conversation.id}")).expect(200).json["messages"][-1]
    assert (last["content"], last["status"]) == ("Там лежит ledger-2025.csv.", "completed")


async def test_what_is_done_at_once(desk: Desk) -> None:
    """S3-21: reading inside, and asking for packages."""
    answer = await desk.asks(
        wish("file_read", path="notes.txt", risk_level="low"),
        wish("list_dir", path="."),
        wish("shell_exec_safe", command="apt list --upgradable", risk_level="low"),
        wish("shell_exec_safe", command="cat notes.txt"),
    )
    assert answer.end["status"] == "completed"
    results = finished(answer)
    assert [error for _, _, error in results] == [None] * 4
    assert TEXT.strip() in str(results[0][1]).replace("\\n", "\n")
    assert "notes.txt" in str(results[1][1])
    assert (results[2][1]["exit_code"], results[2][1]["stdout"]) == (0, "Listing...\n")
    assert (results[3][1]["exit_code"], results[3][1]["stdout"]) == (0, TEXT)
    assert not answer.of("tool_approval_requested")
    assert await pending(desk.office.client, desk.conversation.tenant_id) == []


async def test_what_tells_about_the_machine_is_asked_for(desk: Desk) -> None:
    """S3-21, G3-5: `uname -a`, even if the model thinks nothing of it."""
    for level in ("none", "medium"):
        command = wish("shell_exec_safe", command="uname -a", risk_level=level)
        stop = await pause(desk.office, desk.conversation, command)
        [asked] = stop.answer.of("tool_approval_requested")
        assert (asked["args"]["command"], asked["risk_level"]) == ("uname -a", "medium")
        desk.office.upstream.enqueue(says("Linux."))
        rest = await continued(desk.office.client, stop.run, stop.approval, approved=True)
        [(_, result, _)] = finished(rest)
        assert (result["exit_code"], result["stdout"][:5]) == (0, "Linux")


async def test_the_models_word_raises_the_risk(desk: Desk) -> None:
    """X-8: what it calls risky is asked for, although the server would not."""
    stop = await pause(desk.office, desk.conversation, wish("file_read", path="notes.txt", risk_level="high"))
    [asked] = stop.answer.of("tool_approval_requested")
    assert asked["risk_level"] == "high"
    (await desk.office.client.post(f"/approvals/{stop.approval}/allow_for_conversation")).problem(
        409, "approval_once_only"
    )


async def test_inside_is_what_the_path_leads_to(desk: Desk, outside: Path, workspaces: Path) -> None:
    """Dots and links that lead outside are asked for, others' workspaces and the kernel's files are refused."""
    (desk.root / "link").symlink_to(outside)
    other = root_of(workspaces, UUID(int=7))
    (other / "secret.txt").write_text("not yours")
    stop = await pause(
        desk.office,
        desk.conversation,
        wish("file_read", path="link/ledger-2025.csv"),
        wish("list_dir", path="../.."),
    )
    assert len(stop.approvals) == 2
    scopes = [(await approval_of(desk.office.client, one))["scope"] for one in stop.approvals]
    assert scopes == [str(outside / "ledger-2025.csv"), str(workspaces.parent)]
    desk.office.upstream.enqueue(says("No."))
    await continued(desk.office.client, stop.run, stop.approval, approved=False)
    answer = await desk.asks(
        wish("file_read", path=f"../{other.name}/secret.txt"),
        wish("file_read", path="/proc/self/environ"),
        wish("shell_exec_safe", command=f"cat ../{other.name}/secret.txt"),
    )
    assert [error for _, _, error in finished(answer)] == ["refused"] * 3
    assert "not yours" not in str(answer.frames)


async def test_a_path_that_leads_elsewhere_by_now(desk: Desk, outside: Path, tmp_path: Path) -> None:
    """Allowed is what was shown: not what has taken its place since."""
    link = desk.root / "link"
    link.symlink_to(outside)
    stop = await pause(desk.office, desk.conversation, wish("list_dir", path="link"))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "hidden.txt").write_text("")
    link.unlink()
    link.symlink_to(secret)
    desk.office.upstream.enqueue(says("Well."))
    rest = await continued(desk.office.client, stop.run, stop.approval, approved=True)
    [(_, result, error)] = finished(rest)
    assert (result, error) == (None, "approval_outdated")
    assert b"hidden.txt" not in b"".join(frame.raw for frame in rest.frames)


async def test_a_command_that_writes(desk: Desk) -> None:
    """Asked for, journalled, run once, inside the workspace."""
    stop = await pause(desk.office, desk.conversation, wish("shell_exec_safe", command="touch made.txt"))
    assert not (desk.root / "made.txt").exists()
    assert await journal(desk.office.server, stop.run) == [("shell_exec_safe", "proposed", None)]
    desk.office.upstream.enqueue(says("Made."))
    rest = await continued(desk.office.client, stop.run, stop.approval, approved=True)
    [(_, result, error)] = finished(rest)
    assert (result["exit_code"], error) == (0, None)
    assert (desk.root / "made.txt").exists()
    assert await journal(desk.office.server, stop.run) == [("shell_exec_safe", "succeeded", None)]


async def test_a_command_that_was_allowed_for_the_conversation(desk: Desk) -> None:
    """It may be run again, to the letter, and no other may."""
    client = desk.office.client
    stop = await pause(desk.office, desk.conversation, wish("shell_exec_safe", command="uname -s"))
    desk.office.upstream.enqueue(wants(wish("shell_exec_safe", command="uname -s")), says("Linux."))
    (await decide(client, stop.approval, "allow_for_conversation")).expect(200)
    rest = await continued(client, stop.run, stop.approval)
    assert [result["stdout"] for _, result, _ in finished(rest)] == ["Linux\n"] * 2
    await pause(desk.office, desk.conversation, wish("shell_exec_safe", command="uname -r"))


async def test_no_command_without_a_yes(desk: Desk) -> None:
    stop = await pause(desk.office, desk.conversation, wish("shell_exec_safe", command="touch made.txt"))
    desk.office.upstream.enqueue(wants(wish("shell_exec_safe", command="touch made.txt; true")))
    again = paused(await continued(desk.office.client, stop.run, stop.approval, approved=False))
    desk.office.upstream.enqueue(says("I give up."))
    rest = await continued(desk.office.client, again.run, again.approval, approved=False)
    assert [entry["error"] for entry in rest.end["tool_log"]] == ["denied", "denied"]
    assert not (desk.root / "made.txt").exists()
