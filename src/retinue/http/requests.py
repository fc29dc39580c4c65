"""The request as handlers see it."""

from typing import Any

from litestar import Request
from litestar.datastructures import State
from litestar.types import Empty

from retinue.domain.errors import MalformedBody, UnsupportedMediaType
from retinue.http.decoding import decode_body
from retinue.security.principal import Principal


class EdgeRequest(Request[Principal, Any, State]):
    """Decodes a body straight into the type of the handler's `data`, strictly and once.

    Litestar alone would decode to plain objects first and then convert without strictness (`"1"` for `1`).
    """

    @property
    def principal(self) -> Principal:
        """Who asks. The access guard has put it there."""
        return self.user

    async def body(self) -> bytes:
        body = await self._whole_body()
        if not body and (field := self.route_handler.parsed_data_field) is not None and not field.is_optional:
            raise MalformedBody("A JSON body is required.")
        return body

    async def json(self) -> Any:
        if self._json is Empty:
            self._check_media_type()
            field = self.route_handler.parsed_data_field
            target = Any if field is None else field.annotation
            max_depth: int = self.scope["state"]["max_depth"]
            self._json = decode_body(await self.body(), target, max_depth=max_depth)
        return self._json

    async def decoded(self, target: Any) -> Any:
        """The body as `target`, for a handler that has more to say about a wrong one than `json` would.

        Raises:
            MalformedBody, UnsupportedMediaType, InvalidRequest: as for every other body.
        """
        self._check_media_type()
        if not (body := await self._whole_body()):
            raise MalformedBody("A JSON body is required.")
        return decode_body(body, target, max_depth=self.scope["state"]["max_depth"])

    async def _whole_body(self) -> bytes:
        """Litestar's own makes a generator, of which the event loop has to keep a list. How long a body may be, the
        edge has said.
        """
        if self._body is Empty:
            pieces: list[bytes] = []
            while (message := await self.receive())["type"] == "http.request":
                pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    break
            else:
                raise MalformedBody("The body ended early.")
            self._body = self._connection_state.body = b"".join(pieces)
        return self._body

    def forget_body(self) -> None:
        """Let go of a body that carries a secret: a stream may keep its request for a long time."""
        self._body = self._connection_state.body = b""
        self._json = self._connection_state.json = None

    def _check_media_type(self) -> None:
        if self.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise UnsupportedMediaType("Send the body as it is, without a content coding.")
        given = self.headers.get("content-type")
        if given is None:
            return
        name, _, parameters = given.partition(";")
        name = name.strip().lower()
        if name != "application/json" and not (name.startswith("application/") and name.endswith("+json")):
            raise UnsupportedMediaType("Send the body as application/json.")
        _, _, charset = parameters.lower().partition("charset=")
        if charset and charset.split(";")[0].strip(' "') not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType("JSON is always UTF-8.")
