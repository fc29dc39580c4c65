"""`/usage`."""

from typing import Annotated, Literal
from uuid import UUID

from litestar import Controller, Response, get
from litestar.datastructures.headers import Accept
from litestar.params import FromQuery, QueryParameter

from retinue.domain.access import Scope
from retinue.domain.encoding import encode
from retinue.domain.spending import Grouping, UsageRow
from retinue.http.pagination import DEFAULT_LIMIT, KeyCursor, Limit, next_link
from retinue.http.requests import EdgeRequest
from retinue.http.times import TIME, read_time
from retinue.resources.usage.service import UsageService, range_of
from retinue.resources.usage.table import MEDIA_TYPE, as_csv

_From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description="Calls from this time on, with its zone: `2026-11-20T08:00:00Z`. 30 days, if left out.",
        schema_extra=TIME,
    ),
]
_To = Annotated[
    str | None,
    QueryParameter(
        name="to", description="Calls before this time, with its zone. Now, if left out.", schema_extra=TIME
    ),
]
_Format = Annotated[
    Literal["json", "csv"] | None,
    QueryParameter(description="`csv` for a table. Decides before the Accept header does."),
]
_JSON, _CSV = "application/json", "text/csv"


class UsageController(Controller):
    path = "/usage"
    tags = ("usage",)
    usage: UsageService

    @get(answers=[list[UsageRow]], media={_CSV: str}, scope=Scope.USAGE_READ)
    async def summarize_usage(
        self,
        *,
        request: EdgeRequest,
        tenant_id: FromQuery[UUID | None] = None,
        group_by: FromQuery[Grouping] = Grouping.DAY,
        since: _From = None,
        until: _To = None,
        format: _Format = None,  # noqa: A002 - as the query says
        limit: Limit = DEFAULT_LIMIT,
        cursor: KeyCursor = None,
    ) -> Response[bytes]:
        """Sum up the model calls that have ended: tokens and cost by day, employee, user, model or conversation.

        A call belongs to the time at which it was begun; days are those of UTC. The range has 400 days at most. The
        operator has to name the tenant.
        """
        tenant = request.principal.tenant_for(tenant_id)
        page = await self.usage.summarize(
            tenant, group_by, range_of(read_time("from", since), read_time("to", until)), limit=limit, cursor=cursor
        )
        headers = next_link(request, "cursor", page.next_cursor) | {"vary": "accept"}
        if (format or _preferred(request)) == "csv":
            headers["content-disposition"] = f'attachment; filename="usage-by-{group_by}.csv"'
            return Response(as_csv(page.items, group_by), media_type=MEDIA_TYPE, headers=headers)
        return Response(encode(page.items), media_type=_JSON, headers=headers)


def _preferred(request: EdgeRequest) -> str:
    try:
        accepted = Accept(request.headers.get("accept", "*/*"))
    except OverflowError:  # an infinite weight
        return "json"
    return "csv" if accepted.best_match([_JSON, _CSV]) == _CSV else "json"
