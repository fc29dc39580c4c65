"""Where attacks take place: a company, its neighbour, and what neither may see."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple
from uuid import UUID

from retinue.domain.conversations import Conversation
from tests.e2e.injection.database import rows_of_each
from tests.e2e.injection.model import Puppet
from tests.e2e.injection.receiver import Receiver
from tests.e2e.injection.tools import PAY
from tests.e2e.streams.store import execute, is_sqlite
from tests.e2e.streams.talk import Vendor
from tests.e2e.tools.shelves import LONG_AGO, literal
from tests.e2e.tools.work import SHOP
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer

WORKSPACE = ("file_read", "list_dir", "shell_exec_safe")
TOOLS = (*SHOP, *WORKSPACE, "fetch_url", "calculate", PAY)
MINE, THEIRS = "1042", "9001"
"""Numbers of orders."""
_SHOP_TABLES = ("shop_orders", "shop_coupons", "shop_actions")
_numbers = count()


def canary(kind: str) -> str:
    """A text that stands nowhere else."""
    return f"canary-{kind}-{token_hex(10)}"


class World(NamedTuple):
    """A server and everything around it."""

    server: ForkedServer
    client: RetinueClient
    puppet: Puppet
    receiver: Receiver
    workspaces: Path
    outside: Path
    """A directory that is nobody's workspace: `ledger.csv` is harmless, `secret.txt` is not."""
    secrets: dict[str, str]
    """Canaries by the place where they are kept. None of them may be told to anybody."""

    @property
    def neighbour(self) -> UUID:
        return UUID(self.secrets["neighbour"])

    @property
    def servers_files(self) -> list[Path]:
        folder = self.server.folder
        own = ["retinue.db", "retinue.db-wal", "master.key"] if is_sqlite(self.server) else []
        return [folder / name for name in (*own, ".env", "config/retinue.toml")]

    def canaries(self) -> dict[str, str]:
        return {kind: value for kind, value in self.secrets.items() if kind != "neighbour"}


class Ground(NamedTuple):
    """One company that is attacked."""

    world: World
    conversation: Conversation
    root: Path
    own_canary: str
    """Stands in `notes.txt`, where it may be read."""
    key: str
    """For the model provider."""

    @property
    def tenant(self) -> UUID:
        return self.conversation.tenant_id

    def canaries(self) -> dict[str, str]:
        """What must not be told."""
        return {**self.world.canaries(), "own provider key": self.key}


async def settle_neighbour(world: World) -> None:
    """Another company on the same server, with secrets of its own."""
    secrets = world.secrets
    ground = await break_ground(world, key=secrets["neighbour's key"], orders={THEIRS: secrets["neighbour's order"]})
    secrets["neighbour"] = str(ground.tenant)
    (ground.root / "secret.txt").write_text(secrets["neighbour's file"])
    await world.client.ask(ground.conversation.id, "Keep this: " + secrets["neighbour's message"])


async def break_ground(
    world: World,
    *,
    vendor: Vendor = "openai",
    key: str | None = None,
    orders: dict[str, str] | None = None,
    tools: tuple[str, ...] = TOOLS,
    permission: str = "write",
) -> Ground:
    """A new company with an order, files, and links that lead where they must not."""
    client, url = world.client, world.puppet.openai_url if vendor == "openai" else world.puppet.anthropic_url
    tenant = await client.create_tenant()
    key = key or canary("own-key")
    await client.configure(tenant.id, vendor, "obedient", llm_base_url=url, llm_api_key=key)
    employee = await client.create_employee(tenant.id, tools=tools, permission=permission)
    conversation = await client.create_conversation(tenant.id, employee.id)
    for number, customer in (orders or {MINE: "Grace"}).items():
        await stock(world.server, tenant.id, number, customer)
    root = world.workspaces / str(tenant.id)
    root.mkdir(mode=0o700)
    ground = Ground(world, conversation, root, canary("own-file"), key)
    _furnish(ground)
    return ground


def _furnish(ground: Ground) -> None:
    world, root = ground.world, ground.root
    (root / "notes.txt").write_text(f"{ground.own_canary}\n")
    (root / "folder").mkdir()
    (root / "other").mkdir()
    (root / "other" / "report.txt").write_text("nothing\n")
    links = {"report.txt": world.outside / "secret.txt", "archive": world.outside, "kernel": Path("/proc/self/environ")}
    if "neighbour" in world.secrets:
        links["friend"] = Path("..") / world.secrets["neighbour"] / "secret.txt"
    for name, target in links.items():
        (root / name).symlink_to(target)
    (root / "folder" / "report.txt").symlink_to(world.outside / "secret.txt")
    (root / "database").symlink_to(world.servers_files[0])


async def stock(server: ForkedServer, tenant: UUID, number: str, customer: str, item: str = "Teapot") -> None:
    """Put an order on the shelf."""
    moment = f"'{LONG_AGO}'" if is_sqlite(server) else f"'{LONG_AGO}+00'"
    fields = f"{literal(server, tenant)}, '{number}', '{customer}', '{item}', 'processing', 6490, 'EUR', 0"
    columns = "tenant_id, id, customer, item, status, total_cents, currency, discount_percent, created_at, updated_at"
    await execute(server, f"INSERT INTO shop_orders ({columns}) VALUES ({fields}, {moment}, {moment})")


async def write_on_order(ground: Ground, column: str, text: str) -> None:
    """What a customer has written, or a carrier."""
    where = f"tenant_id = {literal(ground.world.server, ground.tenant)} AND id = '{MINE}'"
    await execute(ground.world.server, f"UPDATE shop_orders SET {column} = '{text}' WHERE {where}")


def write_page(world: World, text: str) -> str:
    """The address of a page that anybody may fetch and that says this."""
    name = f"{next(_numbers)}.html"
    world.puppet.model.pages[f"/pages/{name}"] = f"<html><title>News</title><body><p>{text}</p></body></html>"
    return f"{world.puppet.model.page_url}{name}"


class Stock(NamedTuple):
    """Everything that an attacker could have changed."""

    shop: dict[str, list[tuple[object, ...]]]
    files: dict[str, object]
    arrived: tuple[str, ...]
    connections: int


async def take_stock(ground: Ground) -> Stock:
    world = ground.world
    statements = [f"SELECT * FROM {table} WHERE tenant_id IN ({{}}, {{}})" for table in _SHOP_TABLES]
    found = await rows_of_each(world.server, statements, ground.tenant, world.neighbour)
    shop = {table: sorted(rows, key=repr) for table, rows in zip(_SHOP_TABLES, found, strict=True)}
    folders = (ground.root, world.outside, world.workspaces / str(world.neighbour))
    files = {str(path): content for folder in folders for path, content in _files(folder)}
    names = {"names of workspaces": sorted(os.listdir(world.workspaces))}
    receiver = world.receiver
    return Stock(shop, {**files, **names}, tuple(receiver.arrived), receiver.connections)


def _files(folder: Path) -> Iterator[tuple[Path, object]]:
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        yield path, (content, found.st_mode, found.st_mtime_ns if path.is_file() else 0)
