"""One address, several processes."""

import asyncio
import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.contract.wire import fetch
from tests.e2e.server.waiting import eventually, is_gone, workers_of
from tests.e2e.streams.talk import after_tokens, hire
from tests.support.processes import free_port
from tests.support.server import RetinueServer, environment_for, is_ready, running_retinue
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

WORKERS = 2
BODY_BYTES = 2000


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "retinue.toml"
    file.write_text(f"[limits]\nbody_bytes = {BODY_BYTES}\n")
    return file


@pytest.fixture
def environment(
    database: str, redis_url: str, module_upstream: ThreadedUpstream, configuration: Path
) -> dict[str, str]:
    module_upstream.reset()
    return environment_for(
        database,
        allow=module_upstream.address,
        RETINUE_COORDINATION_URL=redis_url,
        RETINUE_WORKERS=str(WORKERS),
        RETINUE_RUNS_DRAIN_SECONDS="60",
        RETINUE_CONFIG=str(configuration),
    )


@pytest.fixture
def server(tmp_path: Path, environment: dict[str, str]) -> Iterator[RetinueServer]:
    with running_retinue(tmp_path, environment, is_migrated=True) as running:
        eventually(lambda: has_said(running, "worker_ready", times=WORKERS))
        yield running


def has_said(server: RetinueServer, event: str, *, times: int = 1) -> bool:
    return server.output.count(f'"event": "{event}"') >= times


def answering(server: RetinueServer, workers: list[psutil.Process]) -> bool:
    """Whether each of these workers answers requests, at a moment when so many clients ask that none is left out."""
    with ExitStack() as stack:
        for _ in range(32):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            stack.callback(connection.close)
            connection.request("GET", "/api/v1/health")
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
        return all(_is_connected(worker, server.port) for worker in workers)


def _is_connected(worker: psutil.Process, port: int) -> bool:
    connections = worker.net_connections("tcp")
    return any(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in connections)


@contextmanager
def running_answer(server: RetinueServer, upstream: ThreadedUpstream) -> Iterator[None]:
    """An answer whose model waits after its first token for as long as the test likes."""
    with asyncio.Runner() as runner:

        async def begin() -> EventStream:
            client = server.client()
            conversation = await hire(client, upstream)
            upstream.enqueue(tokens(3).hold(1))
            stream = await client.stream(conversation.id, "Hello")
            await after_tokens(stream, 1)
            return stream

        stream = runner.run(begin())
        try:
            yield
        finally:
            upstream.release()
            runner.run(stream.disconnect())


def test_workers_answer_are_replaced_and_stop_together(server: RetinueServer, configuration: Path) -> None:
    workers = workers_of(server)
    assert len(workers) == WORKERS
    eventually(lambda: answering(server, workers))
    assert server.output.count("Retinue listens") == 1

    configuration.unlink()
    lost, kept = workers
    lost.kill()
    eventually(lambda: len(workers_of(server)) == WORKERS and lost not in workers_of(server))
    assert kept in workers_of(server)
    eventually(lambda: answering(server, workers_of(server)))
    assert has_said(server, "worker_lost")

    kept.kill()
    eventually(lambda: len(workers_of(server)) == WORKERS and kept not in workers_of(server))
    eventually(lambda: is_ready(server.port))
    headers = {"content-type": "application/json", "authorization": f"Bearer {server.key}"}
    answer = fetch(server.address, "POST", "/api/v1/tenants", body=b" " * (BODY_BYTES + 1), headers=headers)
    answer.problem(413, "body_too_large")  # as the file said that is gone

    workers = workers_of(server)
    begun = time.monotonic()
    assert server.stop(within=20) == 0
    assert time.monotonic() - begun < 10
    assert all(is_gone(worker) for worker in workers)
    assert "Traceback" not in server.output


def test_a_terminal_that_interrupts_all_of_them_gives_one_order(
    server: RetinueServer, module_upstream: ThreadedUpstream
) -> None:
    with running_answer(server, module_upstream):
        os.killpg(server.process.pid, signal.SIGINT)
        eventually(lambda: not is_ready(server.port))
        module_upstream.release()
        assert server.process.wait(within=20) == 0
    assert "Traceback" not in server.output


def test_a_second_signal_ends_all_of_them_at_once(server: RetinueServer, module_upstream: ThreadedUpstream) -> None:
    workers = workers_of(server)
    with running_answer(server, module_upstream):
        server.process.send(signal.SIGTERM)
        eventually(lambda: not is_ready(server.port))
        assert server.process.is_running
        begun = time.monotonic()
        server.process.send(signal.SIGTERM)
        assert server.process.wait(within=5) not in {0, None}
        assert time.monotonic() - begun < 2
        eventually(lambda: all(is_gone(worker) for worker in workers), within=2)


def test_workers_do_not_outlive_their_parent(server: RetinueServer, module_upstream: ThreadedUpstream) -> None:
    workers = workers_of(server)
    with running_answer(server, module_upstream):
        psutil.Process(server.process.pid).kill()
        # Much sooner than the grace period, because whoever takes its place needs the address.
        eventually(lambda: all(is_gone(worker) for worker in workers), within=20)
    socket.create_server(("127.0.0.1", server.port)).close()


def test_a_worker_that_cannot_start_is_said(tmp_path: Path, environment: dict[str, str]) -> None:
    alone = {**environment, "RETINUE_COORDINATION_URL": "memory://", "RETINUE_WORKERS": "1"}
    with running_retinue(tmp_path, alone, is_migrated=True):
        several = RetinueServer(tmp_path, environment, free_port())
        assert several.process.wait(within=60) == 1
    assert "A process with memory:// serves this database" in several.output
    assert "Traceback" not in several.output
