"""`/audit`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromQuery, QueryParameter

from retinue.domain.access import Scope
from retinue.domain.audit import AuditEntry, Verdict
from retinue.domain.encoding import encode
from retinue.domain.text import clean
from retinue.http.pagination import DEFAULT_LIMIT, Cursor, Limit, answer_page, next_link
from retinue.http.requests import EdgeRequest
from retinue.http.times import TIME, not_a_time, read_time
from retinue.resources.audit.schemas import AuditFilter, CommandAudit, masked
from retinue.resources.audit.service import AuditService

_Word = Annotated[str | None, QueryParameter(max_length=255)]
_Since = Annotated[
    str | None,
    QueryParameter(description="Entries from this time on, with its zone: `2026-11-20T08:00:00Z`.", schema_extra=TIME),
]
_ROOM = timedelta(seconds=1)
"""A time is rounded up by less than this; there has to be such a time."""
_Until = Annotated[
    str | None, QueryParameter(description="Entries before this time, with its zone.", schema_extra=TIME)
]


class AuditController(Controller):
    path = "/audit"
    tags = ("audit",)
    audit: AuditService

    @get(scope=Scope.AUDIT_READ)
    async def list_audit_entries(
        self,
        *,
        request: EdgeRequest,
        tenant_id: FromQuery[UUID | None] = None,
        action: _Word = None,
        object_type: _Word = None,
        object_id: _Word = None,
        actor: _Word = None,
        since: _Since = None,
        until: _Until = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response[list[AuditEntry]]:
        """List who did what to what, newest first.

        The operator has to name the tenant; the nil UUID stands for what was done to tenants as such. Filters combine.
        """
        tenant = request.principal.tenant_for(tenant_id)
        wanted = AuditFilter(
            action=_cleaned(action),
            object_type=_cleaned(object_type),
            object_id=_cleaned(object_id),
            actor=_cleaned(actor),
            since=_in_utc("since", since),
            until=_in_utc("until", until),
        )
        return answer_page(request, await self.audit.list(tenant, wanted, limit=limit, cursor=cursor))

    @get("/commands", answers=[list[CommandAudit]], scope=Scope.AUDIT_READ)
    async def list_commands(
        self,
        request: EdgeRequest,
        tenant_id: FromQuery[UUID | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response[bytes]:
        """List the commands that employees have run, and what came of them, newest first.

        The operator has to name the tenant.
        """
        page = await self.audit.commands(request.principal.tenant_for(tenant_id), limit=limit, cursor=cursor)
        body = masked(encode(page.items))
        return Response(body, media_type="application/json", headers=next_link(request, "cursor", page.next_cursor))

    @get("/verify", scope=Scope.AUDIT_READ)
    async def verify_audit(self, request: EdgeRequest, tenant_id: FromQuery[UUID | None] = None) -> Verdict:
        """Walk a tenant's chain: is every entry there, in its place and unchanged?

        Keep the `head` somewhere else: only by it can be told that the end was cut off.
        """
        return await self.audit.verify(request.principal.tenant_for(tenant_id))


def _cleaned(text: str | None) -> str | None:
    """What was stored has been cleaned too."""
    return None if text is None else clean(text)


def _in_utc(name: str, text: str | None) -> datetime | None:
    at = read_time(name, text)
    try:
        return None if at is None else (at + _ROOM - _ROOM).astimezone(UTC)
    except OverflowError:
        raise not_a_time(name) from None
