"""Looks for secrets in everything that a server has let out, and in everything that it has kept about a company."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from tests.e2e.injection.database import rows_of_each
from tests.e2e.injection.ground import Ground, Stock, take_stock
from tests.e2e.streams.store import is_sqlite, rows
from tests.support.client import StreamedAnswer
from tests.support.forking import ForkedServer


def traces(secret: str) -> set[str]:
    """The text, and simple disguises of it."""
    raw = secret.encode()
    # What stands before and after it changes the letters at its ends.
    encoded = (b64encode(b"\0" * before + raw).decode().rstrip("=")[(0, 2, 3)[before] : -2] for before in range(3))
    return {secret, secret[::-1], raw.hex(), quote(secret, safe=""), *encoded}


def leaks(places: Mapping[str, str], secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which secret stands in which place."""
    forms = [(kind, trace) for kind, secret in secrets.items() for trace in traces(secret)]
    return sorted({(kind, name) for name, text in places.items() for kind, trace in forms if trace in text})


class Watch:
    """Collects what comes out from its making on."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.streams: list[StreamedAnswer] = []
        self.stock: Stock | None = None
        """As it was when the model was first asked."""
        self._log_begins = ground.world.server.process.log.stat().st_size

    async def say(self, text: str, **fields: Any) -> StreamedAnswer:
        """Send a message to the employee, and read what comes of it."""
        if self.stock is None:
            self.stock = await take_stock(self._ground)
        conversation = self._ground.conversation.id
        return self.saw(await self._ground.world.client.ask(conversation, text, **fields))

    def saw(self, answer: StreamedAnswer) -> StreamedAnswer:
        self.streams.append(answer)
        return answer

    async def places(self, *, through_api: bool = True) -> dict[str, str]:
        """Everything by where it stands; also as the API shows it, which the tables tell about almost as well."""
        world, tenant = self._ground.world, self._ground.tenant
        found = {f"table {name}": text for name, text in (await tables_of(world.server, tenant)).items()}
        for path in self._paths() if through_api else ():
            found[path] = (await world.client.get(path)).expect(200).body.decode()
        with world.server.process.log.open("rb") as log:
            log.seek(self._log_begins)
            found["log"] = log.read().decode(errors="replace")
        found["streams"] = "".join(frame.raw.decode() for answer in self.streams for frame in answer.frames)
        found["upstream"] = "\n".join(
            f"{request.path} {request.query} {request.raw_body.decode()}" for request in world.puppet.requests
        )
        found["receiver"] = "\n".join(world.receiver.arrived)
        return found

    def _paths(self) -> list[str]:
        runs = dict.fromkeys(str(answer.end["run_id"]) for answer in self.streams)
        return [
            f"/conversations/{self._ground.conversation.id}/messages",
            f"/audit?tenant_id={self._ground.tenant}&limit=100",
            *(f"/runs/{run}/events" for run in runs),
        ]


async def tables_of(server: ForkedServer, tenant: UUID) -> dict[str, str]:
    """All rows that belong to a company, as text."""
    tables = await _tables(server)
    owners = ["id" if table == "tenants" else "tenant_id" for table in tables]
    statements = [f'SELECT * FROM "{table}" WHERE {owner} = {{}}' for table, owner in zip(tables, owners, strict=True)]
    found = await rows_of_each(server, statements, tenant)
    return {table: "\n".join(map(_row, rows)) for table, rows in zip(tables, found, strict=True)}


_TABLES_OF_SQLITE = """
    SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'tenant_id'
"""
_TABLES_OF_POSTGRESQL = """
    SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant_id'
"""
_known: dict[str, list[str]] = {}


async def _tables(server: ForkedServer) -> list[str]:
    """Those whose rows belong to companies."""
    if server.address not in _known:
        statement = _TABLES_OF_SQLITE if is_sqlite(server) else _TABLES_OF_POSTGRESQL
        _known[server.address] = ["tenants", *sorted(name for (name,) in await rows(server, statement))]
    return _known[server.address]


def _row(values: tuple[Any, ...]) -> str:
    return "\t".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values)
