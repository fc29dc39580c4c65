"""When nothing can be proven, the prover says so, and leaves nothing behind."""

import msgspec
import pytest

from retinue.proving import ProvingFailed, prove
from retinue.proving.entries import ENTRIES
from tests.e2e.isolation.conftest import Serve
from tests.e2e.isolation.test_proof import tenants_of

pytestmark = pytest.mark.slow
TOOLS = "GET /api/v1/tools"


async def test_an_entry_that_is_not_answered_as_it_says_proves_nothing(serve: Serve) -> None:
    server = serve("sqlite")
    assert server.key is not None
    wrong = [msgspec.structs.replace(each, found=(418,)) if each.name == TOOLS else each for each in ENTRIES]
    with pytest.raises(ProvingFailed, match=f"{TOOLS} is answered with 200 to its owner"):
        await prove(f"http://{server.address}", server.key, entries=wrong)
    assert tenants_of(server) == []
    lacking = [each for each in ENTRIES if each.name != TOOLS]
    with pytest.raises(ProvingFailed, match=f"{TOOLS}: the prover has no entry for it"):
        await prove(f"http://{server.address}", server.key, entries=lacking)
    with pytest.raises(ProvingFailed, match="POST /api/v1/tenants is answered with 401"):
        await prove(f"http://{server.address}", "not-the-key")


async def test_open_mode_proves_nothing(serve: Serve) -> None:
    server = serve("sqlite", is_open=True)
    with pytest.raises(ProvingFailed, match="open mode"):
        await prove(f"http://{server.address}", "any-key")


async def test_nobody_there_proves_nothing() -> None:
    for url, why in {"http://127.0.0.1:9": "not answer", "nowhere": "not answer", "http://[::1": "no URL"}.items():
        with pytest.raises(ProvingFailed, match=why):
            await prove(url, "any-key")
