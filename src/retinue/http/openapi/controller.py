"""The document as a file. There is no documentation page: it would come from somebody else's server."""

import msgspec
from litestar import Controller, Response, get

from retinue.http.openapi.document import ApiInfo, build_document
from retinue.http.requests import EdgeRequest


class OpenApiController(Controller):
    """Serves the document, which is made at the first request and kept."""

    info: ApiInfo
    _document: bytes | None = None

    @get(["/openapi.json", "/schema/openapi.json"], public=True, include_in_schema=False, sync_to_thread=False)
    def read_document(self, request: EdgeRequest) -> Response[bytes]:
        if self._document is None:
            self._document = msgspec.json.encode(build_document(request.app, self.info))
        return Response(self._document, media_type="application/json")
