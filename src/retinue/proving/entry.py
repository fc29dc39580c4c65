"""How an operation is attacked: which places of a request name something that may be somebody else's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from retinue.proving.exchange import REQUEST_ID, Ask
from retinue.proving.things import FRESH, Things, fresh_name

API = "/api/v1"
CURSOR = "cursor"
ORIGIN = "Origin"
IDEMPOTENCY = "Idempotency-Key"
LAST_EVENT = "Last-Event-ID"
_NAME = re.compile(r"\{([a-z_]+)\}")


class Place(msgspec.Struct, frozen=True):
    """One place of a request where a name can stand."""

    where: Literal["path", "query", "body", "header"]
    name: str
    """Of the parameter or the header; of a field of the body, the way to it: `subject/id`."""
    kind: str
    """What is named there; see `Things`."""

    def __str__(self) -> str:
        return f"{self.where} {self.name}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One way to ask for an operation. Several may be about the same one."""

    method: str
    path: str
    """As the server describes it."""
    variant: str = ""
    """What tells it from other entries for the same operation."""
    kinds: Mapping[str, str] = {}
    """Of parameters of the path, where the kind is not the parameter's name without `_id`."""
    own: Mapping[str, str] = {}
    """Places in path and body with the kind that stands there where the asker names something of his own."""
    query: Mapping[str, str] = {}
    """Parameters with their kinds. They are left out where nobody attacks them."""
    fixed: Mapping[str, str] = {}
    """Parameters that are always sent."""
    plain: frozenset[str] = frozenset()
    """Further parameters of the query that name nothing."""
    key: Literal["", "taken", "refused"] = ""
    """What becomes of an `Idempotency-Key`."""
    resumes: bool = False
    """Whether a `Last-Event-ID` is taken."""
    body: Any = None
    """A body that is accepted; a text such as `{employee}` is a name of that kind."""
    found: tuple[int, ...] = (200,)
    """What the owner is answered. Empty: the owner does not ask, or has asked while the tenants were made."""
    by: Literal["admin", "operator"] = "admin"
    ends: bool = False
    """Whether its object is not the same afterwards; its owner then asks at the very end."""
    consumes: bool = False
    """Whether an attacker who names only his own things has lost them for further attacks."""
    undo: Any = None
    """What takes back an attacker's success: `delete`, or a body for the same address."""
    is_endless: bool = False
    """Whether it is a stream that does not end by itself."""
    is_public: bool = False
    """Whether nobody is asked who they are."""
    is_described: bool = True
    """Whether the server's own description knows it."""

    @property
    def name(self) -> str:
        """The operation."""
        return f"{self.method} {self.path}"

    @property
    def label(self) -> str:
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @property
    def is_reading(self) -> bool:
        return self.method in {"GET", "HEAD", "OPTIONS"}

    def places(self) -> Iterator[Place]:
        for name in _NAME.findall(self.path):
            yield Place("path", name, self.kinds.get(name, name.removesuffix("_id")))
        for name, kind in self.query.items():
            yield Place("query", name, self.cursor_kind if kind == CURSOR else kind)
        yield from _places_in(self.body, ())
        if self.key:
            yield Place("header", IDEMPOTENCY, self.key_kind)
        if self.resumes:
            yield Place("header", LAST_EVENT, "event")
        yield Place("header", REQUEST_ID, "request")
        yield Place("header", ORIGIN, "origin")

    @property
    def undescribed(self) -> frozenset[str]:
        """Headers that the server does not speak of, because it refuses them."""
        return frozenset({IDEMPOTENCY}) if self.key == "refused" else frozenset()

    @property
    def cursor_kind(self) -> str:
        return f"cursor of {self.label}"

    @property
    def key_kind(self) -> str:
        return f"key of {self.label}"

    def ask(self, own: Things, named: Mapping[Place, str], **headers: str) -> Ask:
        """A request that names these things, and elsewhere what the asker has himself."""
        names: list[str] = []

        def put(place: Place) -> str:
            kind = self.own.get(place.name, place.kind)
            names.append(named[place] if place in named else fresh_name() if kind == FRESH else own.first(kind))
            return names[-1]

        path, query, body = self.path, dict(self.fixed), self.body
        for place in self.places():
            if place.where == "path":
                path = path.replace(f"{{{place.name}}}", put(place))
            elif place.where == "body":
                body = _with(body, place.name.split("/"), put(place))
            elif place in named:
                (query if place.where == "query" else headers)[place.name] = put(place)
        return Ask(method=self.method, path=path, query=query, headers=headers, body=body, names=tuple(names))


def _places_in(template: Any, way: tuple[str, ...]) -> Iterator[Place]:
    if isinstance(template, str):
        if match := _NAME.fullmatch(template):
            yield Place("body", "/".join(way), match[1])
    elif isinstance(template, Mapping):
        for name, value in template.items():
            yield from _places_in(value, (*way, name))
    elif isinstance(template, list):
        for number, value in enumerate(template):
            yield from _places_in(value, (*way, str(number)))


def _with(template: Any, way: list[str], value: str) -> Any:
    """The template with a value at a place."""
    if not way:
        return value
    step, rest = way[0], way[1:]
    if isinstance(template, list):
        return [_with(each, rest, value) if str(n) == step else each for n, each in enumerate(template)]
    return {**template, step: _with(template[step], rest, value)}
