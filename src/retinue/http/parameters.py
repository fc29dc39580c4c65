"""Query parameters are as strict as bodies: a filter with a typing error must not answer with everything."""

from collections.abc import Mapping
from typing import Any, cast, get_args
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.enums import ParamType
from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg

from retinue.domain.errors import FieldError, InvalidRequest

REFUSED: dict[str, Any] = {"not": {}}
"""The schema of a parameter that is always refused."""
_KEPT = "query_parameters"


async def knows_every_parameter(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard for all routes.

    Raises:
        InvalidRequest: a query parameter that the route does not know, one that is given twice, or the word `null`
            where no text is meant, which would otherwise count as left out.
    """
    if query := connection.scope["query_string"]:
        _check(query.decode("latin-1"), query_parameters(handler))


def query_parameters(handler: BaseRouteHandler) -> Mapping[str, bool]:
    """The query parameters that the handler declares, and whether they take any text.

    Found once, then kept with the handler.
    """
    if (known := handler.opt.get(_KEPT)) is None:
        known = handler.opt[_KEPT] = _declared(handler)
    return cast("Mapping[str, bool]", known)


def _declared(handler: BaseRouteHandler) -> dict[str, bool]:
    return {
        definition.name or field.name: str in (field.annotation, *get_args(field.annotation))
        for field in handler.parsed_fn_signature.parameters.values()
        if isinstance(definition := field.kwarg_definition, ParameterKwarg) and definition.param_type == ParamType.QUERY
    }


def _check(query: str, known: Mapping[str, bool]) -> None:
    seen: set[str] = set()
    errors = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            errors.append(FieldError(parameter=name[:100], detail="Unknown parameter."))
        elif name in seen:
            errors.append(FieldError(parameter=name, detail="Given more than once."))
        elif value.lower() == "null" and not known[name]:
            errors.append(FieldError(parameter=name, detail="Leave it out instead."))
        seen.add(name)
    if errors:
        raise InvalidRequest("The query is not valid.", errors=tuple(errors[:20]))
