"""What a process of the workspace cannot reach, whatever it runs."""

import os
import platform
import socket
from pathlib import Path
from typing import Any

import pytest

from retinue.domain.errors import ToolError
from retinue.tools.workspace.confinement import Confinement
from retinue.tools.workspace.workshop import Workshop
from tests.unit.tools.workspace.conftest import CANARY, LOOSE, TIGHT, Site, attempt, change_launcher, needs_confinement

pytestmark = needs_confinement

PROGRAMS = {
    "sockets": "import socket; socket.socket(); print('done')",
    "local sockets": "import socket; socket.socket(socket.AF_UNIX); print('done')",
    "datagrams": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print('done')",
    "raw sockets": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('done')",
    "writing outside": "open('{outside}/new', 'w'); print('done')",
    "writing to a neighbour": "open('{neighbour}/new', 'w'); print('done')",
    "writing to temporary files of others": "open('/tmp/retinue-test-new', 'x'); print('done')",
    "emptying a file": "import os; os.truncate('{outside}/secret.txt', 0); print('done')",
    "removing a file": "import os; os.unlink('{outside}/secret.txt'); print('done')",
    "renaming into the workspace": "import os; os.rename('{outside}/secret.txt', 'here'); print('done')",
    "linking into the workspace": "import os; os.link('{outside}/secret.txt', 'here'); print('done')",
    "reading through a link": "import os; os.symlink('{outside}/secret.txt', 'l'); open('l').read(); print('done')",
    "reading through the root": "import os; os.chdir('/'); open('.{outside}/secret.txt').read(); print('done')",
    "listing a neighbour": "import os; os.listdir('{neighbour}'); print('done')",
    "listing the tenants": "import os; os.listdir('{root}'); print('done')",
    "shadow": "open('/etc/shadow').read(); print('done')",
    "the environment of the supervisor": "import os; open(f'/proc/{{os.getppid()}}/environ').read(); print('done')",
    "the environment of the server": "open('/proc/{server}/environ').read(); print('done')",
    "the memory of the server": "open('/proc/{server}/mem').read(); print('done')",
    "descriptors of the server": "import os; os.listdir('/proc/{server}/fd'); print('done')",
    "the root of the server": "open('/proc/{server}/root{outside}/secret.txt').read(); print('done')",
    "ending the server": "import os; os.kill({server}, 0); print('done')",
    "ending the supervisor": "import os; os.kill(os.getppid(), 9); print('done')",
    "devices": "import os; os.mknod('device', 0o60000 | 0o600, os.makedev(254, 0)); print('done')",
    "disks": "open('/dev/vda', 'rb').read(1); print('done')",
    "namespaces": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0; print('done')",
    "becoming root": "import os; os.setuid(12345); print('done')",
    "a new root": "import os; os.chroot('.'); print('done')",
    "mounts": "import ctypes; assert ctypes.CDLL(None).mount(b'x', b'.', b'tmpfs', 0, 0) == 0; print('done')",
    "memory outside of limits": "import os; os.memfd_create('x'); print('done')",
    "the keyring": "import ctypes; assert ctypes.CDLL(None).syscall(250, 0, -3, 0) >= 0; print('done')",
    "io_uring": "import ctypes; assert ctypes.CDLL(None).syscall(425, 1, 0) >= 0; print('done')",
    "tracing": "import ctypes; assert ctypes.CDLL(None).ptrace(16, {server}, 0, 0) == 0; print('done')",
    "priorities": "import os; os.setpriority(os.PRIO_PROCESS, 0, -5); print('done')",
    "higher limits": "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (4096, 4096)); print('done')",
    "large files": "f = open('f', 'wb'); f.seek(300_000_000); f.write(b'x'); f.flush(); print('done')",
    "watching a neighbour": "import ctypes as c; assert c.CDLL(None).inotify_init1(0) >= 0; print('done')",
    "watching a disk": "import ctypes as c; assert c.CDLL(None).syscall({fanotify}, 0x200, 0) >= 0; print('done')",
    "message queues": "import ctypes as c; assert c.CDLL(None).msgget(0, 0o1600) >= 0; print('done')",
    "semaphores": "import ctypes as c; assert c.CDLL(None).semget(0, 1, 0o1600) >= 0; print('done')",
    "shared memory": "import ctypes as c; assert c.CDLL(None).shmget(0, 4096, 0o1600) >= 0; print('done')",
    "named queues": "import ctypes as c; assert c.CDLL(None).mq_open(b'/rtn', 0o102, 0o600, None) >= 0; print('done')",
    "much memory": "x = bytearray(900_000_000); print('done')",
}
MEANT_FOR_X86 = {"the keyring"}
FANOTIFY = 300 if platform.machine() == "x86_64" else 262


def python(site: Site, code: str) -> str:
    places = {name: getattr(site, name) for name in ("outside", "neighbour", "root")}
    (site.home / "program.py").write_text(code.format(**places, server=os.getpid(), fanotify=FANOTIFY))
    return "python3 program.py"


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_fails_at(site: Site, name: str) -> None:
    result = await site.command(python(site, PROGRAMS[name]), memory_bytes=800_000_000)
    assert "done" not in result["stdout"]
    assert result["exit_code"] != 0
    assert site.is_untouched()
    assert not Path("/tmp/retinue-test-new").exists()


async def test_a_program_can_do_its_work(site: Site) -> None:
    """What is taken away is not what a program needs."""
    code = """
import os, subprocess, tempfile, threading, multiprocessing, hashlib, random, resource
open('made', 'w').write('x'); os.rename('made', 'folder/made'); os.mkdir('d'); os.symlink('d', 'e')
with tempfile.TemporaryFile() as file: file.write(b'x')
thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
assert subprocess.run(['sh', '-c', 'echo a | tr a b > out'], check=True).returncode == 0
open('/dev/null', 'w').write('x'); open('/dev/urandom', 'rb').read(1); open('/etc/passwd').read()
os.nice(1); os.sched_setaffinity(0, os.sched_getaffinity(0)); resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); os.utime('out', (1, 1)); os.chmod('out', 0o600)
print(open('out').read().strip(), os.getcwd() == os.environ['HOME'], oct(os.umask(0)))
"""
    result = await site.command(python(site, code))
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("b True 0o77\n", "", 0)
    assert sorted(os.listdir(site.home / "folder")) == ["inner.txt", "made"]


async def test_a_reading_command_cannot_write(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it was taken for harmless by mistake."""
    for name in ("cat", "ls"):
        program = site.bin / name
        program.write_text("#!/bin/sh\necho x > written || echo refused\n: > notes.txt\n")
        program.chmod(0o755)
    result = await site.command("cat notes.txt")
    assert "refused" in result["stdout"]
    assert not (site.home / "written").exists()
    assert (site.home / "notes.txt").read_text() == "one\ntwo\nthree\n"


async def test_an_allowed_scope_is_all_that_opens(site: Site) -> None:
    (site.outside / "other.txt").write_text("other")
    result = await site.command(f"cp {site.outside}/other.txt copy.txt")
    assert result["exit_code"] == 0
    assert (site.home / "copy.txt").read_text() == "other"
    opened = site.path / "opened"
    opened.mkdir()
    result = await site.command(f"cp notes.txt {opened}/copy.txt")
    assert (opened / "copy.txt").read_text() == "one\ntwo\nthree\n", result
    assert not (site.outside / "copy.txt").exists()


async def test_hidden_places_stay_hidden_beneath_an_allowed_directory(site: Site) -> None:
    """The kernel knows no exceptions, so a directory is handed out in parts."""
    reach = Workshop(site.settings, TIGHT).reaches.of_command(
        str(site.home), may_write=True, sees_machine=False, reads=(str(site.path),), writes=(str(site.path),)
    )
    for given in (reach.reads, reach.writes):
        assert str(site.outside) in given
        assert str(site.home) in given
        hidden = (site.path, site.root, site.neighbour, site.data)
        assert not {str(path) for path in hidden} & set(given)


ENVIRONMENT = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"}


@pytest.mark.parametrize("kernel", [TIGHT, LOOSE], ids=["confined", "unconfined"])
async def test_no_variable_of_the_server_is_inherited(site: Site, monkeypatch: pytest.MonkeyPatch, kernel: Any) -> None:
    monkeypatch.setenv("RETINUE_SECRET", CANARY)
    monkeypatch.setenv("PYTHONPATH", str(site.outside))
    code = "import os; print(sorted(os.environ)); print(dict(os.environ)); print(open('/proc/self/environ').read())"
    result = await site.command("env", confinement=kernel, unconfined=True)
    names = {line.partition("=")[0] for line in result["stdout"].splitlines()}
    assert names <= ENVIRONMENT
    assert names >= ENVIRONMENT - {"TMPDIR"}
    result = await site.command(python(site, code.replace("{", "{{")), confinement=kernel, unconfined=True)
    assert CANARY not in repr(result)


@pytest.mark.parametrize("kernel", [TIGHT, LOOSE], ids=["confined", "unconfined"])
async def test_no_descriptor_of_the_server_is_inherited(site: Site, kernel: Any) -> None:
    """Not even one that is marked to be."""
    secret = os.open(site.data / "secret.txt", os.O_RDONLY)
    ours, theirs = socket.socketpair()
    os.set_inheritable(secret, True)
    os.set_inheritable(theirs.fileno(), True)
    code = """
import os
found = []
for fd in range(4096):
    try: os.fstat(fd); found.append(fd)
    except OSError: pass
print(found, repr(os.read(0, 10)))
"""
    result = await site.command(python(site, code), confinement=kernel, unconfined=True)
    for fd in (secret, ours.detach(), theirs.detach()):
        os.close(fd)
    assert result["stdout"] == "[0, 1, 2] b''\n"


@pytest.mark.parametrize("change", ["landlock._RESTRICT_SELF = 9999", "syscall_filter._SET_SECCOMP = 9999"])
async def test_a_confinement_that_fails_runs_nothing(site: Site, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """The kernel was thought to have more than it has."""
    change_launcher(monkeypatch, change)
    for name, args in (("shell_exec_safe", {"command": "touch made"}), ("file_read", {"path": "notes.txt"})):
        error = await attempt(site.allowed(name, args, confinement=TIGHT))
        assert isinstance(error, ToolError)
        assert (error.problem_code, error.took_effect) == ("cannot_confine", False)
    assert not (site.home / "made").exists()


async def test_modes_can_be_changed_in_the_workspace(site: Site) -> None:
    result = await site.command("echo 'echo hello' > x.sh; chmod +x x.sh; ./x.sh")
    assert result["stdout"] == "hello\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("kernel", [TIGHT, LOOSE], ids=["confined", "unconfined"])
async def test_root_becomes_nobody(site: Site, kernel: Confinement) -> None:
    result = await site.command("id -u; id -G", confinement=kernel, unconfined=True)
    assert result["stdout"].split() == ["65534", "65534"]
    code = "import ctypes; print([n for n in range(41) if ctypes.CDLL(None).prctl(23, n, 0, 0, 0) == 1])"
    result = await site.command(python(site, code), confinement=kernel, unconfined=True)
    assert result["stdout"] == "[1]\n", "the right to use root's files is all that is left to be had"


async def test_with_the_network_only_the_internet_opens(site: Site) -> None:
    """A local socket may be the door to another service, such as one that starts containers."""
    code = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET):
    try: socket.socket(family, socket.SOCK_STREAM if family < 15 else socket.SOCK_RAW); print(int(family))
    except OSError: pass
"""
    result = await site.command(python(site, code), network=True)
    assert result["stdout"].split() == ["2", "10"]
