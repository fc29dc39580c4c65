"""The OpenAPI 3.1 document, made from the routes and the Structs they speak in."""

from retinue.http.openapi.controller import OpenApiController
from retinue.http.openapi.document import ApiInfo, build_document

__all__ = ["ApiInfo", "OpenApiController", "build_document"]
