"""The proof holds on every server, and fails where a defence is taken out."""

from typing import NamedTuple

import httpx2
import pytest

from retinue.proving import Report, prove
from retinue.proving.entries import ENTRIES
from tests.e2e.isolation.conftest import Serve
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow
API = "/api/v1"
ONE_EMPLOYEE = f"GET {API}/employees/{{employee_id}}"
CHANGED = "is not what it was before the attacks"


class Found(NamedTuple):
    """What a hole must show as."""

    operation: str
    attacker: str
    what: str


HOLES = (
    Found(ONE_EMPLOYEE, "stranger's viewer", "tells"),
    Found(f"GET {API}/employees", "stranger's member", "tells"),
    Found(f"GET {API}/runs/{{run_id}}", "token user", "status 200 instead of 404"),
    Found(f"GET {API}/runs/{{run_id}}/stream", "token bound to an employee", "a stream opens"),
    Found(f"POST {API}/conversations", "token user", "status 422 instead of 201"),
    Found(f"POST {API}/approvals/{{approval_id}}/deny", "stranger's user", "status 403 instead of 404"),
    Found(f"GET {API}/tools", "forged key", "status 200 instead of 401"),
    Found(f"PUT {API}/tenants/{{tenant_id}}/origins", "stranger's admin", "status 200 instead of 404"),
)
"""Of `holes.several`."""


async def proof_of(server: ForkedServer, only: set[str] | None = None) -> Report:
    assert server.key is not None
    return await prove(f"http://{server.address}", server.key, only=only)


def tenants_of(server: ForkedServer) -> list[object]:
    """What is left behind."""
    headers = {"authorization": f"Bearer {server.key}"}
    answer = httpx2.get(f"http://{server.address}{API}/tenants", headers=headers, trust_env=False)
    tenants: list[object] = answer.json()
    return tenants


def check(report: Report, attacks: int = 1_500) -> None:
    assert report.is_clean, "\n".join(report.lines())
    assert report.attacks > attacks
    assert not report.held_back


async def test_tenants_do_not_exist_for_each_other(serve: Serve) -> None:
    server = serve("sqlite")
    check(await proof_of(server))
    assert tenants_of(server) == []


async def test_on_postgresql_they_do_not_although_every_filter_is_forgotten(serve: Serve) -> None:
    check(await proof_of(serve("postgresql", "every_filter")))


async def test_on_postgresql_they_do_not_with_both_defences(serve: Serve) -> None:
    """Every third operation: each defence alone stands the whole proof above."""
    server = serve("postgresql")
    check(await proof_of(server, {entry.label for entry in ENTRIES[::3]}), attacks=400)
    assert tenants_of(server) == []


async def test_on_sqlite_a_forgotten_filter_is_found(serve: Serve) -> None:
    """So that it is really the filter that is forgotten above."""
    report = await proof_of(serve("sqlite", "every_filter"), {ONE_EMPLOYEE})
    assert any("status 200 instead of 404" in finding.what for finding in report.findings)


async def test_planted_holes_are_found(serve: Serve) -> None:
    server = serve("sqlite", "several")
    report = await proof_of(server, {hole.operation for hole in HOLES})
    found = [Found(finding.operation, finding.attacker, finding.what) for finding in report.findings]
    for hole in HOLES:
        assert any(each[:2] == hole[:2] and hole.what in each.what for each in found), (hole, found)
    assert any(each.what == CHANGED and each.operation.endswith("/origins") for each in found)
    assert tenants_of(server) == []
