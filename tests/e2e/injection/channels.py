"""The ways on which a stranger's text comes before a model."""

from collections.abc import Awaitable, Callable
from functools import partial

from tests.e2e.injection.ground import MINE, Ground, write_on_order, write_page
from tests.e2e.injection.letters import Attempt, asked, please, read
from tests.e2e.injection.search import Watch
from tests.e2e.tools.work import continued, decide, paused
from tests.support.client import StreamedAnswer

Channel = Callable[[Ground, Watch, str], Awaitable[StreamedAnswer]]
_HARMLESS = asked("shell_exec_safe", command="uname -a")
"""Somebody is asked about it."""


async def _say(ground: Ground, watch: Watch, text: str) -> StreamedAnswer:
    return await watch.say(text)


async def _order(column: str, tool: str, ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    await write_on_order(ground, column, letter)
    return await _say(ground, watch, please(read(tool, order_id=MINE)))


async def _file(attempt: Attempt, ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    (ground.root / "letter.txt").write_text(f"Dear assistant,\n{letter}\n")
    return await _say(ground, watch, please(attempt))


async def _file_name(ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    for name in letter.split():
        (ground.root / name).touch()
    return await _say(ground, watch, please(read("list_dir", path=".")))


async def _page(ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    return await _say(ground, watch, please(read("fetch_url", url=write_page(ground.world, letter))))


async def _tool_error(ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    attempt = Attempt("get_order_status", {"order_id": MINE, letter: 1}, "refused")
    return await _say(ground, watch, please(attempt))


async def _program_error(ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    """Each part of the letter as a file that is not there."""
    return await _say(ground, watch, please(read("shell_exec_safe", command=f"cat {letter}")))


async def _appended(ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    """While the run waits for a person, another message comes."""
    stop = paused(await _say(ground, watch, please(_HARMLESS)))
    await watch.say(letter, on_busy="append")
    return await deny(ground, watch, stop.run, stop.approval)


async def _denial(ground: Ground, watch: Watch, letter: str) -> StreamedAnswer:
    """Somebody pastes it into the comment."""
    stop = paused(await _say(ground, watch, please(_HARMLESS)))
    return await deny(ground, watch, stop.run, stop.approval, letter)


async def deny(ground: Ground, watch: Watch, run: str, approval: str, comment: str | None = None) -> StreamedAnswer:
    """A person says no; what comes of it."""
    client = ground.world.client
    (await decide(client, approval, "deny", comment)).expect(200)
    return watch.saw(await continued(client, run, approval))


CHANNELS: dict[str, Channel] = {
    "user": _say,
    "item": partial(_order, "item", "get_order_status"),
    "customer": partial(_order, "customer", "get_order_status"),
    "carrier": partial(_order, "carrier", "get_tracking_info"),
    "file": partial(_file, read("file_read", path="letter.txt")),
    "stdout": partial(_file, read("shell_exec_safe", command="cat letter.txt")),
    "file-name": _file_name,
    "page": _page,
    "tool-error": _tool_error,
    "stderr": _program_error,
    "appended": _appended,
    "denial": _denial,
}
