"""The tools of the workspace."""

from typing import Any

from retinue.tools.base import Tool
from retinue.tools.workspace.confinement import Confinement, probe
from retinue.tools.workspace.launch import scratch
from retinue.tools.workspace.looks import FileRead, ListDir
from retinue.tools.workspace.settings import WorkspaceSettings
from retinue.tools.workspace.shell import ShellExecSafe
from retinue.tools.workspace.workshop import Workshop


def workspace_tools(settings: WorkspaceSettings, confinement: Confinement | None = None) -> list[Tool[Any]]:
    """The tools, for the workspaces under one root. `confinement` is what the kernel offers unless it is given.

    Removes what servers of this user that were killed have left behind.
    """
    scratch.sweep()
    workshop = Workshop(settings, confinement or probe())
    return [FileRead(workshop), ListDir(workshop), ShellExecSafe(workshop)]
