"""The tools under contract. A new one joins by one entry in `SUBJECTS`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from retinue.tools.base import Tool
from retinue.tools.builtin.calculate import Calculate
from retinue.tools.builtin.current_time import CurrentTime
from retinue.tools.builtin.fallback import FallbackRespond
from retinue.tools.builtin.fetch_url import FetchUrl
from retinue.tools.builtin.shop.changes import ApplyDiscount, CancelOrder, GenerateCoupon
from retinue.tools.builtin.shop.lookups import GetOrderStatus, GetTrackingInfo
from retinue.tools.workspace.registry import workspace_tools
from retinue.tools.workspace.settings import WorkspaceSettings
from tests.unit.egress.internet import CLOSED, Internet
from tests.unit.tools.builtin.calls import CALLER, MemoryShop, an_order


class Subject(msgspec.Struct, frozen=True):
    name: str
    make: Callable[[Path], Tool[Any]]
    """Gets a directory that is the test's own. What is outside of the tool is in memory or in there."""
    args: dict[str, Any]
    """A call that succeeds and says everything that can be said."""
    is_idempotent: bool = False

    def __str__(self) -> str:
        return self.name


def a_shop() -> MemoryShop:
    return MemoryShop(an_order())


def a_workspace(root: Path) -> dict[str, Tool[Any]]:
    """The tools over a workspace that holds one file."""
    home = root / str(CALLER.tenant_id)
    home.mkdir(mode=0o700)
    (home / "notes.txt").write_text("one\ntwo\n")
    return {tool.name: tool for tool in workspace_tools(WorkspaceSettings(root=root))}


SUBJECTS = (
    Subject("calculate", lambda _: Calculate(), {"expression": "6*7"}),
    Subject("current_time", lambda _: CurrentTime(), {"timezone": "Europe/Berlin"}),
    Subject("fallback_respond", lambda _: FallbackRespond(), {"question": "A flight to the moon"}),
    Subject(
        "fetch_url", lambda _: FetchUrl(Internet().client(), CLOSED), {"url": "https://site.example.com/", "start": 2}
    ),
    Subject("get_order_status", lambda _: GetOrderStatus(a_shop()), {"order_id": "1042"}),
    Subject("get_tracking_info", lambda _: GetTrackingInfo(a_shop()), {"order_id": "1042"}),
    Subject("cancel_order", lambda _: CancelOrder(a_shop()), {"order_id": "1042"}, True),
    Subject("apply_discount", lambda _: ApplyDiscount(a_shop()), {"order_id": "1042", "discount_percent": 15}, True),
    Subject("generate_coupon", lambda _: GenerateCoupon(a_shop()), {"discount_percent": 15, "expiry_days": 7}, True),
    Subject(
        "file_read",
        lambda root: a_workspace(root)["file_read"],
        {"path": "notes.txt", "offset": 1, "limit": 7},
    ),
    Subject("list_dir", lambda root: a_workspace(root)["list_dir"], {"path": "."}),
    Subject("shell_exec_safe", lambda root: a_workspace(root)["shell_exec_safe"], {"command": "ls notes.txt"}),
)
