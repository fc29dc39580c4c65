"""A real Retinue: `python -m retinue serve` in a process of its own, on a loopback port."""

import base64
import http.client
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.client import RetinueClient
from tests.support.databases import DIALECTS, fresh_database
from tests.support.leaks import refuse_leaks
from tests.support.processes import DidNotStart, ServerProcess, free_port
from tests.support.roles import database_variables
from tests.support.upstream import ThreadedUpstream

READY = "/api/v1/health/ready"
START_WITHIN = 60.0


class RetinueServer:
    """A running server. It can be stopped and started again on the same database and port."""

    def __init__(self, folder: Path, environment: Mapping[str, str], port: int) -> None:
        self.folder, self.port = folder, port
        self.address = f"127.0.0.1:{port}"
        self.key = environment.get("RETINUE_OPERATOR_KEY")
        self.environment = {**environment, "RETINUE_PORT": str(port)}
        self.process = self._start()

    def client(self) -> RetinueClient:
        """A client with the operator key."""
        return RetinueClient(self.address, self.key)

    def start(self) -> None:
        """Start again after `stop` or `kill`."""
        assert not self.process.is_running
        self.process = self._start()
        self.wait_until_ready()

    def _start(self) -> ServerProcess:
        command = [sys.executable, "-m", "retinue", "serve"]
        return ServerProcess(command, log=self.folder / "retinue.log", env=self.environment, cwd=self.folder)

    def wait_until_ready(self, *, within: float = START_WITHIN) -> None:
        self.process.wait_until(lambda: is_ready(self.port), within=within)

    def stop(self, *, within: float = 15) -> int:
        """SIGTERM, as an orchestrator does it; the exit status."""
        return self.process.stop(by=signal.SIGTERM, within=within)

    def kill(self) -> int:
        """SIGKILL: what a crash leaves behind."""
        return self.process.kill()

    @property
    def output(self) -> str:
        """Everything the server has written."""
        return self.process.tail(10_000_000)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", READY)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def environment_for(database_url: str, *, allow: str = "", **overrides: str) -> dict[str, str]:
    """All that the server is told. Nothing of `RETINUE_*` is inherited."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RETINUE_")}
    master_key = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "RETINUE_HOST": "127.0.0.1",
        **database_variables(database_url),
        "RETINUE_OPERATOR_KEY": f"operator-{secrets.token_hex(16)}",
        "RETINUE_MASTER_KEYS": f"k1:{master_key}",
        "RETINUE_EGRESS_ALLOW": allow,
        "RETINUE_LOG_FORMAT": "json",
        "RETINUE_LOG_LEVEL": "debug",
        "RETINUE_RUNS_DRAIN_SECONDS": "5",
        "RETINUE_READINESS_MAX_LAG_MS": "60000",  # test machines are late, and that is not what is tested
        "RETINUE_LIMITS_MESSAGES": "0",  # tests type faster than people
        "RETINUE_RATES_TENANT_REQUESTS_PER_MINUTE": "0",
        "RETINUE_RATES_USER_REQUESTS_PER_MINUTE": "0",
        "RETINUE_RATES_WRONG_CREDENTIALS_PER_MINUTE": "0",
        **overrides,
    }


@contextmanager
def running_retinue(
    folder: Path, environment: Mapping[str, str], *, is_migrated: bool = False
) -> Iterator[RetinueServer]:
    """A server that is ready, on a database with the newest schema; stopped at the end.

    `is_migrated` says that the database needs no migration; SQLite is always migrated by the server itself.

    Raises:
        DidNotStart: with the end of the server's output.
    """
    if environment["RETINUE_DATABASE_URL"].startswith("postgresql") and not is_migrated:
        migrate(folder, environment)
    server = _start(folder, environment)
    try:
        yield server
    finally:
        server.stop()
    refuse_leaks(server)


def _start(folder: Path, environment: Mapping[str, str], tries: int = 3) -> RetinueServer:
    server = RetinueServer(folder, environment, free_port())
    try:
        server.wait_until_ready()
    except DidNotStart as error:
        server.kill()
        if tries == 1 or "address already in use" not in str(error).lower():
            raise
        return _start(folder, environment, tries - 1)
    return server


def migrate(folder: Path, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "retinue", "migrate"]
    done = subprocess.run(command, check=False, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"migrate ended with {done.returncode}:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module", params=DIALECTS)
def retinue(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, module_upstream: ThreadedUpstream
) -> Iterator[RetinueServer]:
    """A server with an empty database for all tests of a module, once on SQLite and once on PostgreSQL.

    It may call `module_upstream`.
    """
    folder = tmp_path_factory.mktemp("retinue")
    with (
        fresh_database(request, request.param, folder, template="migrated_template") as url,
        running_retinue(folder, environment_for(url, allow=module_upstream.address), is_migrated=True) as server,
    ):
        yield server


@pytest.fixture
def client(retinue: RetinueServer) -> RetinueClient:
    return retinue.client()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the server wrote beside the failure of a test that used it."""
    report = yield
    server = getattr(item, "funcargs", {}).get("retinue")
    if report.failed and isinstance(server, RetinueServer):
        report.sections.append(("output of the server", server.process.tail()))
    return report
