"""Schemas as model servers are shown them."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from retinue.tools.schema import schema_of


class Part(msgspec.Struct, frozen=True):
    note: Annotated[str, Meta(max_length=1000, description="A note.")]


class Arguments(msgspec.Struct, frozen=True):
    text: Annotated[str, Meta(min_length=1, max_length=4000)]
    short: Annotated[str, Meta(max_length=999)]
    parts: Annotated[list[Part], Meta(min_length=1, max_length=5000)]
    number: Annotated[int, Meta(le=1_000_000)] = 5000
    maxLength: str = ""  # noqa: N815


def test_large_bounds_on_lengths_are_left_out() -> None:
    """Some llama.cpp versions refuse a schema with them."""
    properties = schema_of(Arguments)["properties"]
    assert properties["text"] == {"type": "string", "minLength": 1}
    assert properties["short"] == {"type": "string", "maxLength": 999}
    assert properties["parts"]["minItems"] == 1
    assert "maxItems" not in properties["parts"]
    assert properties["parts"]["items"]["properties"] == {"note": {"type": "string", "description": "A note."}}
    assert properties["number"] == {"type": "integer", "maximum": 1_000_000, "default": 5000}
    assert properties["maxLength"] == {"type": "string", "default": ""}


def test_they_are_kept_all_the_same() -> None:
    with pytest.raises(msgspec.ValidationError, match="length <= 4000"):
        msgspec.convert({"text": "x" * 4001, "short": "", "parts": [{"note": ""}]}, Arguments)
