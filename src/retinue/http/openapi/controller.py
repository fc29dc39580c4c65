"""The document as a file. There is no documentation page: it would come from somebody else's server."""

import asyncio

import msgspec
from litestar import Controller, Litestar, Response, get

from retinue.http.openapi.document import ApiInfo, build_document
from retinue.http.requests import EdgeRequest


class OpenApiController(Controller):
    """Serves the document, which is made at the first request and kept. It is made beside the event loop, or all tokens
    would be late by a tenth of a second or more.
    """

    info: ApiInfo
    _document: bytes | None = None

    @get(["/openapi.json", "/schema/openapi.json"], public=True, include_in_schema=False)
    async def read_document(self, request: EdgeRequest) -> Response[bytes]:
        if self._document is None:
            self._document = await asyncio.to_thread(self._make, request.app)
        return Response(self._document, media_type="application/json")

    def _make(self, app: Litestar) -> bytes:
        return msgspec.json.encode(build_document(app, self.info))
