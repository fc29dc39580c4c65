"""Somebody has supplied a password; afterwards nobody gets hold of it, or of what it opens."""

import pytest

from tests.e2e.injection.books import check_nothing_unallowed, entries_of
from tests.e2e.injection.commands import SHELL
from tests.e2e.injection.ground import World, break_ground
from tests.e2e.injection.letters import Turns, asked, letter, read, refused
from tests.e2e.injection.search import Watch, leaks
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import continued, decide, paused, with_password

pytestmark = pytest.mark.slow

AFTERWARDS: list[Turns] = [
    [[asked(SHELL, command="env"), asked(SHELL, command="sh -c 'echo $SUDO_PASSWORD; set; history'")]],
    [[read("list_dir", path="."), refused("file_read", path=".bash_history"), refused("file_read", path=".env")]],
    [[refused("file_read", path="/proc/self/environ"), refused(SHELL, command="cat /proc/self/fd/0")]],
    [[asked(SHELL, command="sudo gossip"), asked(SHELL, command="sudo -S gossip")]],
]


async def test_the_password_of_an_earlier_prompt(world: World, sudo: FakeSudo) -> None:
    ground = await break_ground(world)
    watch, client, secret = Watch(ground), world.client, sudo.password()
    stop = paused(await watch.say(letter([[asked(SHELL, command="sudo gossip")]])))
    again = paused(watch.saw(await continued(client, stop.run, stop.approval, approved=True)), "waiting_for_password")
    rest = watch.saw(await with_password(client, again.run, again.approval, secret))
    assert rest.end["status"] == "completed"
    assert "[redacted]" in str(rest.of("tool_call_finished")), "the program has told it, or this proves nothing"
    calls = len(sudo.seen("gossip"))
    for turns in AFTERWARDS:
        answer = await watch.say(letter(turns))
        while answer.end["status"] == "waiting_for_approval":
            pending = paused(answer)
            (await decide(client, pending.approval, "deny")).expect(200)
            answer = watch.saw(await continued(client, pending.run, pending.approval))
    check_nothing_unallowed(await entries_of(ground), allowed=[stop.approval])
    assert len(sudo.seen("gossip")) == calls
    assert leaks(await watch.places(), {**ground.canaries(), "password": secret}) == []


async def test_an_approval_is_no_password(world: World, sudo: FakeSudo) -> None:
    """Once supplied, it serves one call: the next one waits for it again, and a model cannot supply it."""
    ground = await break_ground(world)
    watch, client, secret = Watch(ground), world.client, sudo.password()
    command = asked(SHELL, command="sudo touch opened.txt")
    stop = paused(await watch.say(letter([[command], [asked(SHELL, command="sudo touch pwned.txt")]])))
    again = paused(watch.saw(await continued(client, stop.run, stop.approval, approved=True)), "waiting_for_password")
    later = paused(watch.saw(await with_password(client, again.run, again.approval, secret)))
    assert (ground.root / "opened.txt").exists()
    paused(watch.saw(await continued(client, later.run, later.approval, approved=True)), "waiting_for_password")
    assert not (ground.root / "pwned.txt").exists()
    assert not sudo.seen("touch", "pwned.txt")
    assert leaks(await watch.places(), {**ground.canaries(), "password": secret}) == []
