"""A command whose processes hide in every way there is."""

from tests.unit.tools.workspace.conftest import Site

STUBBORN = """
trap '' TERM INT HUP
sleep 1000.{mark} & echo >> begun
setsid sleep 1001.{mark} & echo >> begun
(setsid sh -c 'echo >> begun; sleep 1002.{mark}' &)
nohup sleep 1003.{mark} > nohup.out & echo >> begun
(sleep 1004.{mark} & echo >> begun)
python3 -c 'import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("begun", "a").write("\\n")
        time.sleep(1005 or {mark})
    os._exit(0)'
"""


BEGUN = 6


def have_begun(site: Site) -> bool:
    file = site.home / "begun"
    return file.exists() and file.read_text().count("\n") == BEGUN
