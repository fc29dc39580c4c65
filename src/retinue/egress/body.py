"""The body of an answer as text: bounded, unpacked, decoded."""

import asyncio
import codecs
import contextlib
import re
import zlib
from typing import Protocol

import httpx2

_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in (
        "json",
        "ld+json",
        "x-ndjson",
        "ndjson",
        "xml",
        "xhtml+xml",
        "javascript",
        "yaml",
        "x-yaml",
        "toml",
        "graphql",
        "sql",
    )
)
_STRUCTURED = re.compile(r"application/[a-z0-9!#$&^_.+-]+\+(?:json|xml|yaml)")
_CHARSET = re.compile(r"""charset\s{0,8}=\s{0,8}["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_DECLARED = 1024
"""Bytes in which a page may name its charset."""
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
PIECE_BYTES = 64
"""What a piece of a body counts at least: taking it apart costs the same however little it holds."""
_PIECES_AT_ONCE = 64
"""Pieces that are read before others have their turn: a thousand of them may come in one packet."""
_CHARSETS = re.compile(
    r"ascii|utf-8|utf-16(?:-[lb]e)?|iso8859-\d+|cp125\d|koi8-[ru]|tis-620|gb2312|gbk|gb18030|big5|big5hkscs"
    r"|euc_jp|euc_kr|shift_jis|iso2022_jp|mac-roman"
)
"""What the web uses. Python knows more, some of which are no charsets or take a long time for little text."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def is_text(kind: str) -> bool:
    """Whether bodies of this media type are texts."""
    return kind.startswith("text/") or kind in _TEXT_TYPES or _STRUCTURED.fullmatch(kind) is not None


async def read_text(response: httpx2.Response, content_type: str, max_bytes: int) -> tuple[str, bool]:
    """The text and whether there is more. Reads at most a little over `max_bytes`, and unpacks no more than that. Of a
    body in tiny pieces it reads less.

    Raises:
        httpx2.HTTPError: the connection broke, or the body is packed in a way that was not asked for, or wrongly.
    """
    unpack = _unpacker(response)
    body, received, pieces, is_whole = bytearray(), 0, 0, False
    async with contextlib.aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            received += max(len(chunk), PIECE_BYTES)
            pieces += 1
            body += _unpacked(unpack, chunk, max_bytes + 1 - len(body)) if unpack else chunk
            if max(received, len(body)) > max_bytes:
                break
            if pieces % _PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
        else:
            is_whole = unpack is None or not received or (unpack.eof and not unpack.unused_data)
    return _decoded(bytes(body[:max_bytes]), content_type), not is_whole


def _unpacker(response: httpx2.Response) -> _Unpacker | None:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"identity", ""}:
        return None
    if coding not in {"gzip", "x-gzip"}:
        raise httpx2.DecodingError("the body is packed in a way that was not asked for")
    return zlib.decompressobj(wbits=31)


def _unpacked(unpack: _Unpacker, chunk: bytes, room: int) -> bytes:
    try:
        return unpack.decompress(chunk, room)
    except zlib.error:
        raise httpx2.DecodingError("the body cannot be unpacked") from None


def _decoded(body: bytes, content_type: str) -> str:
    for mark, name in _MARKS.items():
        if body.startswith(mark):
            return body.decode(name, "replace")
    named = _CHARSET.search(content_type) or _CHARSET.search(body[:_DECLARED].decode("ascii", "replace"))
    return body.decode(_known(named[1]) if named else "utf-8", "replace")


def _known(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return "utf-8"
    return name if _CHARSETS.fullmatch(name) else "utf-8"
