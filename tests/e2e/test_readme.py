"""What the README tells people to type works when it is typed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess, free_port
from tests.support.server import START_WITHIN, environment_for, is_ready

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "127.0.0.1:8000"
MARK = "# run\n"
WITH_KEYS = "# run with keys\n"
"""Where the server has an operator key, which the shell has, too."""
MARKERS_WITH_KEYS = ("message_end", '["https://shop.example.com"]', '"concurrent_runs":20', '"spent_micros":0')
MARKERS = (
    *("message_start", "message_end", '"ok":true', '"status":"completed"'),
    *("tool_approval_requested", '"status":"waiting_for_approval"', '"decision":"allow_once"', '"status":"generated"'),
    *('"action":"approval.decided"', '"is_valid":true'),
)
"""What the blocks must show in the course of things."""
NOT_OF_A_READER = {"RETINUE_OPERATOR_KEY", "RETINUE_MASTER_KEYS", "RETINUE_LIMITS_MESSAGES"}
"""What other tests' servers are told and a first `make run` is not."""
WITHIN = 60
_FENCED = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, mark: str = MARK) -> list[str]:
    """The fenced bash blocks that say that they can be run, in order."""
    return [block for block in _FENCED.findall(text) if block.startswith(mark)]


def script(text: str, address: str, mark: str = MARK) -> str:
    """All blocks as one shell session against another address, which stops at the first line that fails."""
    parts = [f"echo '--- block {number}'\n{block}" for number, block in enumerate(blocks(text, mark), 1)]
    return ("set -euo pipefail\n" + "\n".join(parts)).replace(ADDRESS, address)


def test_only_marked_blocks_are_run() -> None:
    text = "```bash\nmake run\n```\n\n```bash\n# run\necho a\n```\n\n```toml\n# run\n```\n```bash\n# run\necho b\n```\n"
    assert blocks(text) == ["# run\necho a\n", "# run\necho b\n"]
    assert script("```bash\n# run\ncurl http://127.0.0.1:8000/x\n```\n", "127.0.0.1:9").endswith("127.0.0.1:9/x\n")


def demo(environment: dict[str, str], folder: Path) -> str:
    """What `make demo` prints where nobody sits at a terminal."""
    command = [sys.executable, "-m", "retinue", "demo", "--allow"]
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=WITHIN
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readme_can_be_followed(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    assert blocks(text), "the README has no block that starts with `# run`"
    port = free_port()
    environment = {
        name: value
        for name, value in environment_for("sqlite+aiosqlite:///.data/retinue.sqlite3", RETINUE_PORT=str(port)).items()
        if name not in NOT_OF_A_READER and not name.endswith("_API_KEY")
    }
    command = [sys.executable, "-m", "retinue", "serve", "--demo"]
    server = ServerProcess(command, log=tmp_path / "retinue.log", env=environment, cwd=tmp_path)
    try:
        server.wait_until(lambda: is_ready(port), within=START_WITHIN)
        done = subprocess.run(
            ["bash", "-c", script(text, f"127.0.0.1:{port}")],
            check=False,
            cwd=tmp_path,
            env={name: value for name, value in environment.items() if not name.startswith("RETINUE_")},
            capture_output=True,
            text=True,
            timeout=WITHIN,
        )
        said = f"{done.stdout}\n{done.stderr}\n{server.tail()}"
        assert done.returncode == 0, said
        assert [marker for marker in MARKERS if marker not in done.stdout] == [], said
        assert f"http://127.0.0.1:{port}/api/v1/conversations/" in server.tail(), "the banner shows lines to copy"
        shown = demo(environment, tmp_path)
        assert "tool_approval_requested" in shown, "the demo shows an approval"
        assert "SAVE15-" in shown.partition("tool_approval_decided")[2], "and what comes of it"
    finally:
        server.stop()


def test_the_readme_can_be_followed_with_keys(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    assert blocks(text, WITH_KEYS), "the README has no block that starts with `# run with keys`"
    port = free_port()
    environment = environment_for("sqlite+aiosqlite:///retinue.sqlite3", RETINUE_PORT=str(port))
    server = ServerProcess(
        [sys.executable, "-m", "retinue", "serve"], log=tmp_path / "retinue.log", env=environment, cwd=tmp_path
    )
    try:
        server.wait_until(lambda: is_ready(port), within=START_WITHIN)
        done = subprocess.run(
            ["bash", "-c", script(text, f"127.0.0.1:{port}", WITH_KEYS)],
            check=False,
            cwd=tmp_path,
            env={name: value for name, value in environment.items() if name in {"PATH", "RETINUE_OPERATOR_KEY"}},
            capture_output=True,
            text=True,
            timeout=WITHIN,
        )
        said = f"{done.stdout}\n{done.stderr}\n{server.tail()}"
        assert done.returncode == 0, said
        assert [marker for marker in MARKERS_WITH_KEYS if marker not in done.stdout] == [], said
    finally:
        server.stop()


def test_a_block_that_fails_is_noticed() -> None:
    for broken in ("```bash\n# run\nfalse\necho later\n```\n", "```bash\n# run\nfalse | cat\necho later\n```\n"):
        done = subprocess.run(["bash", "-c", script(broken, ADDRESS)], check=False, capture_output=True, text=True)
        assert done.returncode != 0
        assert "later" not in done.stdout
