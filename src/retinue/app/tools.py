"""The tools that this server offers."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from retinue.app.keys import sqlite_file
from retinue.app.shop import DatabaseShop
from retinue.db.session import Database
from retinue.egress import EgressPolicy
from retinue.settings import Settings
from retinue.settings.loading import CONFIG_VARIABLE
from retinue.tools.base import Tool
from retinue.tools.builtin.registry import builtin_tools
from retinue.tools.registry import ToolRegistry
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings


def open_registry(
    settings: Settings,
    *,
    database: Database,
    http: httpx2.AsyncClient,
    policy: EgressPolicy,
    further: Iterable[Tool[Any]] = (),
) -> ToolRegistry:
    """Built-in tools, those of the workspace if the operator wants them, and `further` ones."""
    tools = builtin_tools(
        http,
        policy,
        DatabaseShop(database),
        fetch_max_bytes=settings.tools.fetch_max_bytes,
        fetch_seconds=settings.tools.fetch_seconds,
    )
    if settings.workspace.enabled:
        tools += workspace_tools(_workspace(settings))
    return ToolRegistry([*tools, *further])


def _workspace(settings: Settings) -> WorkspaceSettings:
    workspace = settings.workspace
    return WorkspaceSettings(
        root=Path(workspace.root).resolve(),
        outside=workspace.outside,
        sudo=workspace.sudo,
        unconfined=workspace.unconfined,
        network=workspace.network,
        seconds=workspace.seconds,
        memory_bytes=workspace.memory_bytes,
        output_bytes=workspace.output_bytes,
        path=workspace.path,
        protected=tuple(path.resolve() for path in _own_places(settings)),
    )


def _own_places(settings: Settings) -> Iterator[Path]:
    """Where the server keeps what is nobody else's: its database and master key, its settings."""
    if database_file := sqlite_file(settings.database.url):
        yield database_file.parent
    yield Path("config")
    yield Path(".env")
    if named := os.environ.get(CONFIG_VARIABLE):
        yield Path(named)
