"""Lists: bare arrays, bounded, continued through an opaque cursor in a `Link` header (RFC 8288)."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter

from retinue.domain.errors import FieldError, InvalidRequest
from retinue.domain.text import is_clean

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many to answer with at most.")]
Cursor = Annotated[
    str | None, QueryParameter(max_length=512, description="Where to go on: taken from the Link header, unchanged.")
]

KeyCursor = Annotated[
    str | None, QueryParameter(max_length=2048, description="Where to go on: taken from the Link header, unchanged.")
]
"""Of a list whose elements have words for ids."""

T = TypeVar("T")
_VERSION = 1
_CHECK_BYTES = 6


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    items: Sequence[T]
    next_cursor: str | None = None


def encode_cursor(last: UUID) -> str:
    """The place after `last`."""
    payload = msgspec.msgpack.encode((_VERSION, last.bytes))
    return base64.urlsafe_b64encode(payload + _check(payload)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> UUID | None:
    """The id to go on after; None for the first page.

    Raises:
        InvalidRequest: code `invalid_cursor`. The check finds damage; it is no secret, because a cursor grants nothing.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        _, key = msgspec.msgpack.decode(raw[:-_CHECK_BYTES], type=tuple[int, bytes])
        last = UUID(bytes=key)
        # Made anew it must be the same to the last character; that compares version and check, too.
        if encode_cursor(last) != cursor:
            raise ValueError(cursor)
        return last
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise invalid_cursor() from None


def key_cursor(last: str) -> str:
    """The place after what is known by this word."""
    payload = msgspec.msgpack.encode((_VERSION, last))
    return base64.urlsafe_b64encode(payload + _check(payload)).rstrip(b"=").decode()


def key_after(cursor: str | None) -> str | None:
    """The word to go on after; None for the first page.

    Raises:
        InvalidRequest: as `decode_cursor`.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        _, last = msgspec.msgpack.decode(raw[:-_CHECK_BYTES], type=tuple[int, str])
        if key_cursor(last) != cursor or not is_clean(last):
            raise ValueError(cursor)
        return last
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise invalid_cursor() from None


def invalid_cursor() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one that a Link header of this list gave.",
        code="invalid_cursor",
        errors=(FieldError(parameter="cursor", detail="Start again without a cursor."),),
    )


def page_of(items: Sequence[T], limit: int, key: Any) -> Page[T]:
    """A page out of up to `limit + 1` items: the one too many says that there is a next page."""
    if len(items) <= limit:
        return Page(items=items)
    shown = items[:limit]
    return Page(items=shown, next_cursor=encode_cursor(key(shown[-1])))


def answer_page(request: Request[Any, Any, Any], page: Page[T]) -> Response[list[T]]:
    """The array, and a `Link` to the next one."""
    return Response(list(page.items), headers=next_link(request, "cursor", page.next_cursor))


def next_link(request: Request[Any, Any, Any], name: str, value: str | None) -> dict[str, str]:
    """The `Link` header to this request with another value of the parameter `name`; nothing for None."""
    if value is None:
        return {}
    query = request.scope["query_string"].decode("latin-1")
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != name]
    target = f"{quote(request.scope['path'])}?{urlencode([*kept, (name, value)])}"
    return {"link": f'<{target}>; rel="next"'}


def _check(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_CHECK_BYTES, person=b"cursor").digest()
