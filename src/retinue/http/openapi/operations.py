"""What the document needs to know of a route handler."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import msgspec
from litestar import Litestar, Response
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from retinue.domain.errors import RetinueError
from retinue.http.parameters import REFUSED
from retinue.security.guards import PUBLIC, SCOPE

Kinds = type[RetinueError] | tuple[type[RetinueError], ...]
"""The class of an error, or several where one code stands for more than one status."""
PROBLEMS = "problems"
"""Option of a handler: problem codes of its own, each with the class of the error."""
OTHERWISE = "otherwise"
"""Option of a handler: further statuses that it answers with and that are no problems, each with the body's type; None
where there is no body.
"""
ANSWERS = "answers"
"""Option of a handler: the body's type, where the annotation of the handler cannot tell."""
ACCEPTS = "accepts"
"""Option of a handler that reads its body itself: the body's type."""
REPLAYS = "replays"
"""Option of a handler: a request that has a key of an earlier one gets the earlier one's answer."""
MEDIA = "media"
"""Option of a handler: the media types that it answers with besides JSON, each with the body's type."""
FRAMES = "frames"
"""Option of a handler that streams: the Structs of its frames."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    place: str
    type: Any
    is_required: bool
    default: Any = None
    description: str | None = None
    bounds: dict[str, Any] = {}
    is_refused: bool = False
    """Known only to be refused, so the document does not offer it."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    method: str
    name: str
    summary: str
    description: str
    tags: Sequence[str]
    is_public: bool
    scope: str | None
    """What credentials need for it; null: nobody may do it, unless it is public."""
    status: int
    parameters: Sequence[Parameter]
    body: Any = None
    is_body_required: bool = False
    answers: Sequence[Any] = ()
    """What the body of a success can be; empty if it has none."""
    otherwise: Mapping[int, Any] = {}
    media: Mapping[str, Any] = {}
    frames: Sequence[type[msgspec.Struct]] = ()
    problems: Mapping[str, Kinds] = {}
    has_replays: bool = False

    @property
    def is_list(self) -> bool:
        """Whether a `Link` header leads to what comes next."""
        return any(parameter.name == "limit" for parameter in self.parameters)

    @property
    def types(self) -> list[Any]:
        answers = [*self.answers, *self.otherwise.values(), *self.frames]
        found = [self.body, *answers, *(parameter.type for parameter in self.parameters)]
        return [each for each in found if each is not None]


def operations(app: Litestar) -> Iterator[Operation]:
    """Every operation that belongs into the document."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.resolve_include_in_schema():
                    yield from (_operation(route, handler, method) for method in sorted(handler.http_methods))


def _operation(route: HTTPRoute, handler: HTTPRouteHandler, method: str) -> Operation:
    fields = handler.parsed_fn_signature.parameters
    body = fields.get("data")
    summary, _, description = inspect.cleandoc(handler.fn.__doc__ or "").partition("\n\n")
    return Operation(
        path=route.path_format,
        method=method.lower(),
        name=handler.fn.__name__,
        summary=handler.summary or " ".join(summary.split()).rstrip("."),
        description=handler.description or description,
        tags=handler.resolve_tags(),
        is_public=handler.opt.get(PUBLIC) is True,
        scope=handler.opt.get(SCOPE),
        status=handler.status_code,
        parameters=[*_path_parameters(route), *_other_parameters(fields)],
        body=handler.opt.get(ACCEPTS) or (body.annotation if body else None),
        is_body_required=body is None or not body.is_optional,
        answers=handler.opt.get(ANSWERS) or _answers(handler.parsed_fn_signature.return_type),
        otherwise=handler.opt.get(OTHERWISE, {}),
        media=handler.opt.get(MEDIA, {}),
        frames=handler.opt.get(FRAMES, ()),
        problems=handler.opt.get(PROBLEMS, {}),
        has_replays=handler.opt.get(REPLAYS, False),
    )


def _path_parameters(route: HTTPRoute) -> list[Parameter]:
    return [
        Parameter(name=name, place="path", type=definition.type, is_required=True)
        for name, definition in route.path_parameters.items()
    ]


def _other_parameters(fields: Mapping[str, FieldDefinition]) -> Iterator[Parameter]:
    for field in fields.values():
        definition = field.kwarg_definition
        if not isinstance(definition, ParameterKwarg) or definition.param_type == ParamType.PATH:
            continue
        yield Parameter(
            name=definition.name or field.name,
            place=definition.param_type.value,
            type=_meant(field.annotation),
            is_required=field.is_required,
            default=field.default if field.has_default else None,
            description=definition.description,
            bounds=_bounds(definition),
            is_refused=definition.schema_extra == REFUSED,
        )


def _bounds(definition: ParameterKwarg) -> dict[str, Any]:
    words = {
        "minimum": definition.ge,
        "maximum": definition.le,
        "minLength": definition.min_length,
        "maxLength": definition.max_length,
        "pattern": definition.pattern,
    }
    return {word: value for word, value in words.items() if value is not None} | (definition.schema_extra or {})


def _answers(returned: FieldDefinition) -> list[Any]:
    annotation = returned.raw
    if returned.is_subclass_of(Response):
        annotation = returned.inner_types[0].raw if returned.inner_types else None
    if _is_json(annotation):
        return [annotation]
    # msgspec cannot describe a union of Structs without tags, but each of its members.
    return [each for each in get_args(annotation) if _is_json(each)]


def _is_json(annotation: Any) -> bool:
    if any(annotation is kind for kind in (None, type(None), bytes)):
        return False
    try:
        msgspec.json.schema(annotation)
    except TypeError:
        return False
    return True


def _meant(annotation: Any) -> Any:
    """Absence is told by `required`, so null is no part of an optional parameter."""
    rest = [each for each in get_args(annotation) if each is not type(None)]
    return rest[0] if type(None) in get_args(annotation) and len(rest) == 1 else annotation
