"""Types that request bodies are made of.

NUL and lone surrogates never arrive here: the decoder replaces them in the whole body.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta

T = TypeVar("T", bound=msgspec.Struct)

# Python and JavaScript do not agree on what else is a blank.
NOT_BLANK = r"[^\s\x1c-\x1f\x85\ufeff]"
# `$` would accept a line end after the slug.
_KEBAB = r"^[a-z0-9]+(?:-[a-z0-9]+)*(?![\s\S])"
_PRINTABLE = r"^[!-~]+(?![\s\S])"

MAX_INT = 2**31 - 1
YEAR_SECONDS = 31_536_000

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK, examples=["Ada"])]
JobTitle = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK, examples=["assistant"])]
ModelName = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK, examples=["gpt-5-mini"])]
Slug = Annotated[str, Meta(min_length=1, max_length=63, pattern=_KEBAB, examples=["ada-support"])]
UserId = Annotated[str, Meta(min_length=1, max_length=255, pattern=NOT_BLANK, examples=["user-42"])]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255, pattern=NOT_BLANK, examples=["thread-7"])]
Title = Annotated[str, Meta(max_length=500, examples=["Invoice 2026-11"])]
SystemPrompt = Annotated[str, Meta(max_length=100_000, examples=["You help customers of Acme with invoices."])]
ShortText = Annotated[str, Meta(max_length=2_000)]
Word = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
Words = Annotated[tuple[Word, ...], Meta(max_length=100)]
Comment = Annotated[str, Meta(max_length=2_000, examples=["The customer has asked for it."])]
Secret = Annotated[str, Meta(min_length=1, max_length=4096, pattern=_PRINTABLE)]
Url = Annotated[str, Meta(min_length=1, max_length=2048, pattern=_PRINTABLE)]
Tokens = Annotated[int, Meta(ge=1, le=MAX_INT)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Seconds = Annotated[int, Meta(ge=0, le=YEAR_SECONDS, examples=[1800])]
Count = Annotated[int, Meta(ge=1, le=MAX_INT)]


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every body. A field that may be left out but not be null is annotated with `UnsetType`."""


def given(body: msgspec.Struct) -> dict[str, Any]:
    """The fields that a PATCH body names, and only those."""
    values = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}


def changes(before: msgspec.Struct, after: msgspec.Struct) -> list[str]:
    """The names of the fields that differ, but for the time of the change itself: what an audit row tells."""
    names = (name for name in after.__struct_fields__ if name != "updated_at")
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def merged(current: T, patch: msgspec.Struct) -> T:
    """`current` with the fields that `patch` names (RFC 7396: what is left out stays, null takes away)."""
    return msgspec.structs.replace(current, **given(patch))
