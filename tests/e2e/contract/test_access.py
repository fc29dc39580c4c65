"""Nothing is anonymous by accident: one key, two headers, a short list of public routes."""

import re

import pytest

from tests.e2e.contract.description import Description
from tests.e2e.contract.wire import RawAnswer, fetch
from tests.support.server import RetinueServer

pytestmark = pytest.mark.slow

PUBLIC = {("GET", "/api/v1/health"), ("GET", "/api/v1/health/ready")}
TENANTS = "/api/v1/tenants"


def ask(server: RetinueServer, headers: dict[str, str]) -> RawAnswer:
    return fetch(server.address, "GET", TENANTS, headers=headers)


def key_of(server: RetinueServer) -> str:
    assert server.key is not None
    return server.key


def test_the_key_opens_as_bearer_and_as_api_key(retinue: RetinueServer) -> None:
    key = key_of(retinue)
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
        {"authorization": f"BEARER   {key}"},
        {"x-api-key": key},
        {"X-API-KEY": key},
        {"x-api-key": key, "authorization": f"Bearer {key}"},
    ):
        assert ask(retinue, headers).status == 200, headers


def test_without_the_key_nothing_opens(retinue: RetinueServer) -> None:
    key = key_of(retinue)
    for headers in (
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": key},
        {"authorization": f"Basic {key}"},
        {"authorization": f"Bearer {key}x"},
        {"authorization": f"Bearer {key[:-1]}"},
        {"authorization": f"Bearer {key.upper()}"},
        {"authorization": f"Bearer {key} {key}"},
        {"authorization": f"Bearer {key},{key}"},
        {"authorization": "Bearer " + "x" * 5000},
        {"authorization": "Bearer schl\xfcssel\xff"},
        {"x-api-key": ""},
        {"x-api-key": "\xfc" * 30},
        {"x-api-key": f"Bearer {key}"},
        {"cookie": f"key={key}"},
        {"proxy-authorization": f"Bearer {key}"},
    ):
        answer = ask(retinue, headers)
        answer.problem(401, "unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="retinue"'
        assert key.encode() not in answer.body


def test_a_key_in_the_address_is_no_credential(retinue: RetinueServer) -> None:
    """It would end in logs and histories."""
    for name in ("key", "api_key", "access_token"):
        fetch(retinue.address, "GET", f"{TENANTS}?{name}={key_of(retinue)}").problem(401, "unauthenticated")


def test_two_different_credentials_are_refused(retinue: RetinueServer) -> None:
    key = key_of(retinue)
    for headers in (
        {"authorization": f"Bearer {key}", "x-api-key": "another"},
        {"authorization": "Bearer another", "x-api-key": key},
        {"authorization": f"Bearer {key}", "Authorization": "Bearer another"},
        {"x-api-key": key, "X-Api-Key": "another"},
    ):
        ask(retinue, headers).problem(400, "conflicting_credentials")


def test_public_is_what_is_listed_and_nothing_else(retinue: RetinueServer, description: Description) -> None:
    """With a bad key and no body: a closed route says 401 before it looks at anything else."""
    some_id = "01928f6e-0000-7000-8000-000000000001"
    found = set()
    for path, method, operation in description.operations():
        answer = fetch(retinue.address, method, re.sub(r"\{\w+\}", some_id, path))
        if answer.status != 401:
            found.add((method, path))
        assert (operation.get("security") == []) == (answer.status != 401), (method, path)
    assert found == PUBLIC
    assert fetch(retinue.address, "GET", "/openapi.json").status == 200


def test_a_body_is_not_read_before_the_key_is_checked(retinue: RetinueServer) -> None:
    answer = fetch(retinue.address, "POST", TENANTS, body=b"{" * 1000, headers={"content-type": "application/json"})
    answer.problem(401, "unauthenticated")


def test_closed_routes_do_not_tell_what_exists(retinue: RetinueServer) -> None:
    for target in ("/api/v1/tenants/01928f6e-0000-7000-8000-000000000001", "/api/v1/tenants?limit=abc"):
        fetch(retinue.address, "GET", target).problem(401, "unauthenticated")


def test_the_key_is_in_no_output(retinue: RetinueServer) -> None:
    key = key_of(retinue)
    ask(retinue, {"authorization": f"Bearer {key}"})
    assert key not in retinue.output
    assert retinue.environment["RETINUE_MASTER_KEYS"].partition(":")[2] not in retinue.output
