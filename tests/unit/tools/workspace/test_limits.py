"""How much a command may use, and what a program finds around it."""

from collections.abc import Callable

import pytest

from tests.unit.tools.workspace.conftest import Site, change_launcher


async def test_endless_output_is_cut(site: Site, nothing_left: Callable[[], None]) -> None:
    for command, output in (("yes", "stdout"), ("yes >&2", "stderr"), ("cat /dev/zero", "stdout")):
        result = await site.command(command, output_bytes=10_000, unconfined=True)
        assert (len(result[output]), result["is_cut"], result["stopped"]) == (10_000, True, "output")
        assert result["exit_code"] is None
    nothing_left()


async def test_output_that_just_fits_is_whole(site: Site) -> None:
    (site.home / "large").write_bytes(b"x" * 300_000)
    result = await site.command("cat large", output_bytes=300_000)
    assert (len(result["stdout"]), result["is_cut"], result["exit_code"]) == (300_000, False, 0)
    assert "stopped" not in result
    result = await site.command("cat large", output_bytes=299_999)
    assert (len(result["stdout"]), result["is_cut"]) == (299_999, True)


pytestmark = pytest.mark.usefixtures("bombs_alone")

BOMBS = {
    "forks": "fork()",
    "sessions": "if fork() == 0: os.setsid()",
    "orphans": """if fork() == 0:
        fork() and os._exit(0)
        time.sleep(9)""",
}
_ENDLESSLY = """import os, time
def fork():
    try: return os.fork()
    except OSError: return -1  # what may have no more goes on with what it has
while True:
    """


NAMESPACES = ["", "first.count_processes_anew = lambda **_: False"]


@pytest.mark.parametrize("kernel", NAMESPACES, ids=["all", "no namespaces"])
@pytest.mark.parametrize("bomb", BOMBS)
async def test_processes_without_end(
    site: Site, nothing_left: Callable[[], None], monkeypatch: pytest.MonkeyPatch, bomb: str, kernel: str
) -> None:
    change_launcher(monkeypatch, kernel)
    (site.home / "bomb.py").write_text(_ENDLESSLY + BOMBS[bomb])
    result = await site.command("python3 bomb.py 2> errors", unconfined=True)
    assert result["stopped"] == "processes"
    nothing_left()


@pytest.mark.parametrize("kernel", NAMESPACES, ids=["all", "no namespaces"])
async def test_many_processes_one_after_another_are_no_bomb(
    site: Site, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    """Also where each loses its parent."""
    change_launcher(monkeypatch, kernel)
    code = """
import os
for number in range(400):
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.close(writer)
    os.waitpid(middle, 0)
    assert os.read(reader, 1) == b"", "both have ended"
    os.close(reader)
print("done")
"""
    (site.home / "many.py").write_text(code)
    result = await site.command("python3 many.py", unconfined=True)
    assert result["stdout"] == "done\n", result
    assert result["exit_code"] == 0


@pytest.mark.parametrize("kernel", NAMESPACES, ids=["all", "no namespaces"])
async def test_the_dead_do_not_count(site: Site, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    """However long their parent lets them lie about."""
    change_launcher(monkeypatch, kernel)
    code = """
import os, time
for number in range(200):
    if os.fork() == 0: os._exit(0)
time.sleep(0.3)
print("done")
"""
    (site.home / "dead.py").write_text(code)
    result = await site.command("python3 dead.py", unconfined=True)
    assert (result["stdout"], result["exit_code"]) == ("done\n", 0), result


async def test_a_bomb_in_disguise(site: Site, nothing_left: Callable[[], None]) -> None:
    """In a spelling that no list knows."""
    result = await site.command("a='b() { b | '; eval \"$a b & }; b\"; sleep 1000", unconfined=True)
    assert result["stopped"] == "processes"
    nothing_left()


async def test_memory_is_counted_over_all_processes(site: Site, nothing_left: Callable[[], None]) -> None:
    code = "import os, time\nfor _ in range(7): os.fork() or time.sleep(0)\nx = bytearray(60_000_000)\ntime.sleep(1000)"
    (site.home / "eat.py").write_text(code.replace("range(7)", "range(4)"))
    result = await site.command("python3 eat.py", memory_bytes=300_000_000, unconfined=True)
    assert result["stopped"] == "memory"
    nothing_left()


async def test_memory_that_processes_could_share_is_counted(site: Site, nothing_left: Callable[[], None]) -> None:
    """Though each has its own, the kernel takes it for shared."""
    code = """
import mmap, os, time
for _ in range(2): os.fork()
held = mmap.mmap(-1, 100_000_000)
for place in range(0, len(held), 4096): held[place] = 1
time.sleep(1000)
"""
    (site.home / "eat.py").write_text(code)
    result = await site.command("python3 eat.py", memory_bytes=300_000_000, unconfined=True)
    assert result["stopped"] == "memory"
    nothing_left()


async def test_one_process_cannot_have_more(site: Site) -> None:
    result = await site.command("python3 -c 'bytearray(10**9)'", memory_bytes=200_000_000, unconfined=True)
    assert "MemoryError" in result["stderr"]
    assert result["exit_code"] == 1


async def test_exit_codes_are_those_of_shells(site: Site) -> None:
    for command, code in (
        ("sh -c 'exit 7'", 7),
        ("sh -c 'kill -9 $$'", 137),
        ("sh -c 'kill -15 $$'", 143),
        ("false", 1),
    ):
        assert (await site.command(command, unconfined=True))["exit_code"] == code


async def test_there_is_no_input_and_no_terminal(site: Site) -> None:
    result = await site.command('cat; tty; python3 -c \'open("/dev" + "/tty")\'', unconfined=True)
    assert "not a tty" in result["stdout"]
    assert "Error" in result["stderr"]


async def test_broken_pipes_end_programs(site: Site) -> None:
    result = await site.command("yes | head -1", unconfined=True)
    assert (result["stdout"], result["exit_code"]) == ("y\n", 0)
