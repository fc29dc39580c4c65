"""A crowd that has all the processes it may have, and fills every place that becomes free, is ended all the same."""

import os
import site as python_site
import subprocess
import sys
from pathlib import Path

import pytest

from retinue.tools.workspace import registry
from tests.unit.tools.workspace.test_ordinary_user import NOBODY, interpreter

pytestmark = pytest.mark.usefixtures("bombs_alone")

CROWD = """
import os, resource, sys
from retinue.tools.workspace.launch import supervisor, tree

supervisor._adopt_orphans()
heard, told = os.pipe()
first = os.fork()
if first == 0:
    os.setpgid(0, 0)
    mine = sum(os.stat(f"/proc/{name}").st_uid == os.getuid() for name in os.listdir("/proc") if name.isdigit())
    resource.setrlimit(resource.RLIMIT_NPROC, (mine + 500, mine + 500))
    while True:
        try:
            if os.fork() == 0: os.setsid()
        except OSError:
            os.write(told, b".")
os.nice(19)  # on a machine that has other things to do
for _ in range(2000):
    os.read(heard, 1)
print(tree.end_all(first), len(tree.descendants(os.getpid())))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are counted in /proc")
def test_a_crowd_that_has_all_there_is(tmp_path: Path) -> None:
    is_root = os.geteuid() == 0
    python = interpreter() if is_root else sys.executable
    if python is None:
        pytest.skip("no interpreter that another user may start")
    done = subprocess.run(
        [python, "-c", CROWD],
        env={"PYTHONPATH": ":".join([str(Path(registry.__file__).parents[3]), *python_site.getsitepackages()])},
        user=NOBODY if is_root else None,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "True 0\n", done.stderr
