"""`/tools`."""

from litestar import Controller, get

from retinue.domain.access import Scope
from retinue.resources.tools.schemas import ShownTool, shown
from retinue.tools.registry import ToolRegistry


class ToolController(Controller):
    path = "/tools"
    tags = ("tools",)
    tools: ToolRegistry

    @get(sync_to_thread=False, scope=Scope.TOOLS_READ)
    def list_tools(self) -> list[ShownTool]:
        """List the tools that this server offers, by name.

        An employee has those that are on its own list.
        """
        return [shown(tool) for tool in self.tools]
