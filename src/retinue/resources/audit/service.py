"""What can be asked of the audit trail."""

from uuid import UUID

from retinue.db.session import Database
from retinue.domain.audit import AuditEntry, Verdict
from retinue.http.pagination import Page, decode_cursor, invalid_cursor, page_of
from retinue.resources.audit.schemas import COMMAND, FINISHED, AuditFilter, CommandAudit, command_audit

_MAX_SEQ = 2**63 - 1


class AuditService:
    """A deleted tenant's chain can still be read. The nil UUID stands for what was done to tenants as such."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, tenant_id: UUID, wanted: AuditFilter, *, limit: int, cursor: str | None) -> Page[AuditEntry]:
        """Newest first.

        Raises:
            InvalidRequest: `invalid_cursor`.
        """
        after = _seq_of(cursor)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            found = await unit.audit.list(limit=limit + 1, after=after, **wanted.asdict())
        return page_of(found, limit, lambda entry: UUID(int=entry.seq))

    async def commands(self, tenant_id: UUID, *, limit: int, cursor: str | None) -> Page[CommandAudit]:
        """The commands that were run and what came of them, newest first.

        Raises:
            InvalidRequest: `invalid_cursor`.
        """
        page = await self.list(tenant_id, AuditFilter(action=COMMAND), limit=limit, cursor=cursor)
        async with self._database.unit(tenant_id, read_only=True) as unit:
            ends = await unit.audit.about(FINISHED, "command", [str(entry.id) for entry in page.items])
        items = [command_audit(entry, ends.get(str(entry.id))) for entry in page.items]
        return Page(items=items, next_cursor=page.next_cursor)

    async def verify(self, tenant_id: UUID) -> Verdict:
        """Walk the whole chain."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.audit.verify()


def _seq_of(cursor: str | None) -> int | None:
    """A place in a chain travels as if it were an id."""
    place = decode_cursor(cursor)
    if place is not None and place.int > _MAX_SEQ:
        raise invalid_cursor()
    return None if place is None else place.int
