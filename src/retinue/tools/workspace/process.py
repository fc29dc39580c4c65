"""One process of the workspace, from its start until nothing is left of it. Blocks: for a thread of its own."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

import msgspec

from retinue.tools.workspace import output
from retinue.tools.workspace.confinement import LAUNCHER
from retinue.tools.workspace.jobs import End, Job, Outcome, Prompt
from retinue.tools.workspace.launch.tree import ENDING_SECONDS, STILLING_SECONDS
from retinue.tools.workspace.output import Collector

_PATIENCE = ENDING_SECONDS + STILLING_SECONDS + 4.0
"""Seconds for the supervisor to leave nothing behind. It gives itself less."""
_CHUNK = 65_536
_LIMITS: dict[str, End] = {"memory": "memory", "processes": "processes", "unseen": "lost"}


class Stop:
    """Tells a running `carry_out` to end, from any thread. Close it when both sides are done."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()

    def set(self) -> None:
        with contextlib.suppress(OSError):
            self._sender.send(b"x")

    def close(self) -> None:
        self.receiver.close()
        self._sender.close()


def carry_out(job: Job, stop: Stop, *, room: int, prompt: Prompt | None = None) -> Outcome:
    """Do a job, and return when its process and all that came from it are gone.

    `room` is the number of bytes that are kept of each output; a process that says more is ended. The password goes to
    the process, followed by a newline, when it asks for it, and nowhere else.

    Raises: OSError: the process could not be started; nothing has happened.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            supervisor = subprocess.Popen(  # noqa: S603  (our own program; the job goes to it as data)
                [sys.executable, "-I", "-S", LAUNCHER, str(theirs.fileno())],
                stdin=subprocess.PIPE if prompt else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=job.environment,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        return _Process(supervisor, ours, job, stop, room=room, prompt=prompt).follow()


class _Process:
    def __init__(
        self,
        supervisor: subprocess.Popen[bytes],
        control: socket.socket,
        job: Job,
        stop: Stop,
        *,
        room: int,
        prompt: Prompt | None,
    ) -> None:
        assert supervisor.stdout is not None
        assert supervisor.stderr is not None
        self._supervisor = supervisor
        self._control = control
        self._job = job
        self._stop = stop
        self._prompt = prompt
        self._began = time.monotonic()
        self._outputs = {supervisor.stdout.fileno(): Collector(room), supervisor.stderr.fileno(): Collector(room)}
        self._stdout, self._stderr = self._outputs.values()
        self._news = bytearray()
        self._password_was_sent = False

    def follow(self) -> Outcome:
        try:
            with contextlib.suppress(OSError):
                self._control.sendall(msgspec.json.encode(self._job) + b"\n")
            end = self._watch()
        finally:
            self._leave_nothing()
        return self._outcome(end)

    def _watch(self) -> End:
        """Until the supervisor says that it is over, or it has to be."""
        with selectors.DefaultSelector() as selector:
            for source in (self._control.fileno(), self._stop.receiver.fileno(), *self._outputs):
                selector.register(source, selectors.EVENT_READ)
            deadline = self._began + self._job.limits.seconds
            while True:
                ready = [key.fd for key, _ in selector.select(max(deadline - time.monotonic(), 0))]
                if self._stop.receiver.fileno() in ready:
                    return "cancelled"
                for fd in ready:
                    if fd in self._outputs and not self._take(fd):
                        selector.unregister(fd)
                reason = self._reason_to_end()
                if reason:
                    return reason
                if self._control.fileno() in ready and not self._hear():
                    return "ended"
                if time.monotonic() >= deadline:
                    return "time"

    def _take(self, fd: int) -> bool:
        """Whether there may be more."""
        piece = os.read(fd, _CHUNK)
        self._outputs[fd].add(piece)
        return bool(piece)

    def _hear(self) -> bool:
        with contextlib.suppress(ConnectionError):
            piece = self._control.recv(4_096)
            self._news += piece
            return bool(piece)
        return False

    def _reason_to_end(self) -> End | None:
        if self._prompt is not None:
            times = output.asked(bytes(self._stderr.kept), self._prompt)
            if times > 1:
                return "wrong_password" if self._prompt.is_trial else "lost"
            if times and not self._password_was_sent:
                self._send_password(self._prompt)
        return "output" if any(one.is_cut for one in self._outputs.values()) else None

    def _send_password(self, prompt: Prompt) -> None:
        self._password_was_sent = True
        stdin = self._supervisor.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):
            os.write(stdin.fileno(), prompt.password.reveal().encode() + b"\n")
        with contextlib.suppress(OSError):
            # What reads on after the password finds the end, so a second try of the same cannot hang.
            stdin.close()

    def _leave_nothing(self) -> None:
        with contextlib.suppress(OSError):
            # The supervisor ends everything when it sees this side closed.
            self._control.shutdown(socket.SHUT_WR)
        try:
            self._supervisor.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill()
        self._drain()
        if not self._told().keys() & {"ended", "failed"}:
            self._kill()
        for pipe in (self._supervisor.stdin, self._supervisor.stdout, self._supervisor.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _kill(self) -> None:
        child = self._told().get("started")
        for group in (child, self._supervisor.pid):
            with contextlib.suppress(OSError):
                if isinstance(group, int) and group > 1:
                    os.killpg(group, signal.SIGKILL)
        self._supervisor.kill()
        self._supervisor.wait()
        if isinstance(child, int):
            _wait_for_group(child)

    def _drain(self) -> None:
        """What was said before the end. What cannot be ended may hold the pipe open, so nothing is waited for."""
        with contextlib.suppress(OSError):
            while self._hear():
                pass
        for fd in self._outputs:
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):
                while self._take(fd) and not self._outputs[fd].is_cut:
                    pass

    def _told(self) -> dict[str, object]:
        told: dict[str, object] = {}
        for line in bytes(self._news).splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                told |= msgspec.json.decode(line, type=dict[str, object])
        return told

    def _outcome(self, end: End) -> Outcome:
        told = self._told()
        code, failed = told.get("ended"), told.get("failed")
        exit_code = code if isinstance(code, int) else None
        if end == "ended":
            end = self._end_of(told)
        stdout, stderr = bytes(self._stdout.kept), bytes(self._stderr.kept)
        if self._prompt is not None:
            if end == "ended" and output.was_refused(exit_code, stdout, stderr, self._prompt):
                # A command that has begun can say so, too.
                end = "wrong_password" if self._prompt.is_trial else "lost"
            stdout = output.without_secrets(stdout, self._prompt, is_cut=self._stdout.is_cut)
            stderr = output.without_secrets(stderr, self._prompt, is_cut=self._stderr.is_cut)
        return Outcome(
            end=end,
            code=str(failed or ""),
            exit_code=exit_code,
            stdout=stdout,
            stderr=stderr,
            is_cut=self._stdout.is_cut or self._stderr.is_cut,
            asked=self._password_was_sent,
            is_left=bool(told.get("is_left")),
            duration_ms=round((time.monotonic() - self._began) * 1_000),
        )

    def _end_of(self, told: dict[str, object]) -> End:
        """How it ended, as the supervisor says."""
        if told.get("failed"):
            return "failed"
        stopped = _LIMITS.get(str(told.get("stopped")))
        if stopped is not None:
            # What was to be ended and goes on has no end to tell of.
            return "lost" if told.get("is_left") else stopped
        return "ended" if "ended" in told else "lost"


def _wait_for_group(group: int) -> None:
    """Until nothing is left of a group that was killed; whatever adopted it buries it."""
    until = time.monotonic() + _PATIENCE
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.002)
