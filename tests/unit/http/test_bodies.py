"""Bodies over HTTP: media types, emptiness, the path from bytes to the handler."""

from typing import Any

import pytest
from litestar.testing import AsyncTestClient

Client = AsyncTestClient[Any]
JSON = b'{"name":"a"}'


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/merge-patch+json",
    ],
)
async def test_json_by_any_name_is_read(client: Client, media_type: str) -> None:
    response = await client.post("/things", content=JSON, headers={"content-type": media_type})
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"


async def test_a_body_without_a_type_is_taken_for_json(client: Client) -> None:
    assert (await client.post("/things", content=JSON)).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/xml",
        "application/msgpack",
        "",
    ],
)
async def test_other_media_types_are_refused(client: Client, media_type: str) -> None:
    response = await client.post("/things", content=JSON, headers={"content-type": media_type})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br, identity", 415), ("Identity", 201), ("", 201)])
async def test_codings_are_refused(client: Client, coding: str, status: int) -> None:
    """None is undone, so one that is named would be passed over."""
    response = await client.post(
        "/things", content=JSON, headers={"content-type": "application/json", "content-encoding": coding}
    )
    assert response.status_code == status


async def test_an_empty_body_is_malformed(client: Client) -> None:
    response = await client.post("/things", headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "malformed_body")


async def test_an_optional_body_may_be_missing_but_not_wrong(client: Client) -> None:
    assert (await client.post("/maybe")).json() is None
    assert (await client.post("/maybe", content=JSON)).json()["name"] == "a"
    response = await client.post("/maybe", content=b'{"name":1}')
    assert [error["pointer"] for error in response.json()["errors"]] == ["/name"]


async def test_a_body_on_get_is_not_looked_at(client: Client) -> None:
    response = await client.request("GET", "/who", content=b"\xff" * 100)
    assert response.status_code == 200


async def test_problems_of_bodies_look_like_all_others(client: Client) -> None:
    response = await client.post("/things", content=b'{"name":"a","persona":{"tone":1},"x":0}')
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:retinue:problem:validation_failed",
        "title": "The request is not valid",
        "status": 422,
        "detail": "2 things in the body are not valid.",
        "instance": "/things",
        "code": "validation_failed",
        "retryable": False,
        "errors": [
            {"pointer": "/x", "detail": "Unknown field."},
            {"pointer": "/persona/tone", "detail": "Expected `str | null`, got `int`"},
        ],
    }
