"""Whatever is asked, the server answers as its description says, and tells nobody about others."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from retinue.resources.tenants.budgets.schemas import MAX_MICROS
from tests.e2e.contract.wire import fetch
from tests.fuzz.campaign import Campaign, Report
from tests.fuzz.document import described, with_envelopes
from tests.fuzz.ground import KINDS, Ground, Kind, settle
from tests.fuzz.sizes import IS_FULL, SIZES
from tests.support.forking import ForkedServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

AT_LEAST = 1_500 if IS_FULL else 200
"""Requests with each kind of credentials."""


@pytest.fixture(scope="module")
def document(server: ForkedServer) -> dict[str, Any]:
    return with_envelopes(described(server.address))


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_requests_are_answered_as_described(
    server: ForkedServer, document: dict[str, Any], kind: Kind, figure: Callable[[str], None]
) -> None:
    ground = asyncio.run(settle(server.client(), kind, width=12 if IS_FULL else 3))
    report = Campaign(document, server.address, ground, SIZES, heal=lambda: heal(server, ground)).run()
    figure(told(report))
    assert not report.findings, f"{len(report.findings)} findings\n\n" + "\n\n".join(first_of_each(report))
    assert not report.errors, report.errors
    assert report.total >= AT_LEAST, report.cases
    assert 500 not in report.statuses
    assert "Traceback" not in server.output, server.output[server.output.find("Traceback") - 500 :][:5000]
    assert fetch(server.address, "GET", "/api/v1/health").status == 200


def heal(server: ForkedServer, ground: Ground) -> None:
    """Undo what a request did to the tenant that all others live on."""

    async def undo() -> None:
        operator = server.client()
        await operator.configure(ground.tenant)
        (await operator.put(f"/tenants/{ground.tenant}/limits", {})).expect(200)
        for budget in (await operator.get(f"/tenants/{ground.tenant}/budgets?limit=200")).expect(200).json:
            change = {"limit_micros": MAX_MICROS, "hard_stop": False}
            await operator.patch(f"/tenants/{ground.tenant}/budgets/{budget['id']}", change)

    asyncio.run(undo())


def told(report: Report) -> str:
    phases = ", ".join(f"{count} {phase}" for phase, count in report.cases.items())
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(report.statuses.items()))
    return f"{report.total} requests ({phases}): {statuses}; {report.excluded.total()} excluded"


def first_of_each(report: Report) -> list[str]:
    counts = Counter((finding.check, finding.operation, finding.title) for finding in report.findings)
    shown = {(finding.check, finding.operation, finding.title): finding for finding in reversed(report.findings)}
    return [f"{count} × {str(shown[key])[:3000]}" for key, count in counts.most_common(20)]
