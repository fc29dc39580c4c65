"""The description says how answers lead to further requests."""

import re
from typing import Any

import pytest

from tests.e2e.contract.description import Description

pytestmark = pytest.mark.slow


def found(description: Description) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (f"{method} {path}", status, answer.get("links", {}))
        for path, method, operation in description.operations()
        for status, answer in operation["responses"].items()
    ]


def test_every_link_fits_the_operation_that_it_leads_to(description: Description) -> None:
    operations = {operation["operationId"]: operation for _, _, operation in description.operations()}
    links = [link for _, _, links in found(description) for link in links.values()]
    assert links
    for link in links:
        parameters = operations[link["operationId"]]["parameters"]
        known = {each["name"] for each in parameters} | {f"{each['in']}.{each['name']}" for each in parameters}
        assert known >= link["parameters"].keys(), link
        needed = {each["name"] for each in parameters if each["in"] == "path"}
        assert needed <= link["parameters"].keys(), link
        assert all(re.match(r"\$(response\.body#/|request\.path\.)", told) for told in link["parameters"].values())


def test_whatever_is_made_can_be_followed(description: Description) -> None:
    for request, status, links in found(description):
        if status == "201" and not request.endswith(("/user-tokens", "/rotate")):
            assert any(name.startswith("read_") for name in links), request
        if request.endswith("/messages") and status == "202":
            assert {"read_run", "stream_run", "allow_once", "deny"} <= links.keys()
