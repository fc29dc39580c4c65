"""Which pages may read answers to a tenant's credentials."""

from collections.abc import Sequence
from uuid import UUID

from retinue.db.session import Database
from retinue.domain.errors import FieldError, InvalidRequest, NotFound
from retinue.resources.tenants.origins.schemas import Origins, OriginsPut
from retinue.security.key_book import KeyBook

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535


class OriginService:
    def __init__(self, database: Database, book: KeyBook) -> None:
        self._database = database
        self._book = book

    async def get(self, tenant_id: UUID) -> Origins:
        """Raises: NotFound."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            origins = await unit.origins.list()
        if not origins:
            async with self._database.operator(read_only=True) as operator:
                if await operator.tenants.find(tenant_id) is None:
                    raise NotFound("There is no such tenant.")
        return Origins(origins=tuple(origins))

    async def put(self, tenant_id: UUID, body: OriginsPut) -> Origins:
        """Raises: NotFound; InvalidRequest: an origin that no browser writes like that."""
        _require_spelling(body.origins)
        after = sorted(set(body.origins))
        async with self._database.unit(tenant_id) as unit:
            before = await unit.origins.replace(after)
            if list(before) != after:
                await unit.audit.record("origins.updated", object_type="origins", object_id=str(tenant_id))
            unit.after_commit.append(self._book.forget_origins)
        return Origins(origins=tuple(after))


def _require_spelling(origins: Sequence[str]) -> None:
    """Browsers leave out the port of the scheme; an origin with it would be listed and never fit."""
    errors = tuple(
        FieldError(pointer=f"/origins/{number}", detail="Leave out the port of the scheme; others end at 65535.")
        for number, origin in enumerate(origins)
        if not _is_port_right(origin)
    )
    if errors:
        raise InvalidRequest("Write origins as browsers do.", errors=errors)


def _is_port_right(origin: str) -> bool:
    scheme, _, rest = origin.partition("://")
    port = rest.rpartition("]")[2].partition(":")[2]
    return not port or (int(port) <= _MAX_PORT and int(port) != _PORTS[scheme])
