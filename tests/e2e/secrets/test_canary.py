"""What a tenant has planted everywhere is nowhere any more when it was deleted; its secrets never were anywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from retinue.jobs.erasure import LEASE_SECONDS
from tests.e2e.secrets.plants import Plantation
from tests.e2e.secrets.search import files_of_database, files_under, found_in, keys_in_redis, tables_of
from tests.e2e.streams.talk import eventually
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import Office
from tests.support.databases import DIALECTS, fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.redis import RedisServer
from tests.support.server import environment_for
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

PATIENCE = LEASE_SECONDS + 30
"""A process that was killed may just have taken the erasure."""


class Place(NamedTuple):
    server: ForkedServer
    redis: str | None
    workspaces: Path
    sudo: FakeSudo

    async def everything(self) -> dict[str, str]:
        """All that is kept."""
        return {
            **await tables_of(self.server),
            **files_of_database(self.server),
            **files_under(self.workspaces),
            **(keys_in_redis(self.redis) if self.redis else {}),
        }


@pytest.fixture(params=DIALECTS)
def place(
    request: pytest.FixtureRequest,
    template: Template,
    upstream: ThreadedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """SQLite with everything in memory, or PostgreSQL and Redis; both tell their log everything."""
    folder, workspaces = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("workspaces")
    sudo = FakeSudo(tmp_path_factory.mktemp("sudo"))
    shared: RedisServer | None = request.getfixturevalue("shared_redis") if request.param == "postgresql" else None
    settings = {
        "RETINUE_LOG_LEVEL": "debug",
        "RETINUE_WORKSPACE_ENABLED": "true",
        "RETINUE_WORKSPACE_ROOT": str(workspaces),
        "RETINUE_WORKSPACE_SUDO": "true",
        "RETINUE_WORKSPACE_PATH": f"{sudo.folder}:/usr/local/bin:/usr/bin:/bin",
        **({"RETINUE_COORDINATION_URL": shared.url} if shared else {}),
    }
    with fresh_database(request, request.param, folder, template="migrated_template") as url:
        environment = environment_for(url, allow=upstream.address, **settings)
        with forked_retinue(template, folder, environment) as server:
            yield Place(server, shared.url if shared else None, workspaces, sudo)


@pytest.fixture
async def plantation(place: Place, upstream: ThreadedUpstream) -> Plantation:
    planted = Plantation(Office(place.server, place.server.client(), upstream), place.sudo)
    await planted.plant()
    return planted


async def erased(place: Place, tenant: UUID) -> dict[str, Any]:
    """What the operator's trail says about the end."""
    client, operator = place.server.client(), UUID(int=0)
    path = f"/audit?tenant_id={operator}&action=tenant.erased&object_id={tenant}"

    async def probe() -> dict[str, Any] | None:
        found = (await client.get(path)).expect(200).json
        return found[0]["payload"] if found else None

    return await eventually(probe, within=PATIENCE)


async def test_nothing_is_left_of_a_tenant(place: Place, plantation: Plantation) -> None:
    client, tenant, canaries = place.server.client(), plantation.tenant, plantation.canaries
    personal = {name: word for name, word in canaries.of.items() if name not in canaries.secret}
    before = found_in(await place.everything(), personal)
    assert {name for name, _ in before} == set(personal), "all of it was there, or this proves nothing"
    assert any(str(place.workspaces) in where for _, where in before)

    (await client.delete(f"/tenants/{tenant}")).expect(204)
    place.server.kill()
    place.server.start()
    for path in (f"/tenants/{tenant}", f"/tenants/{tenant}/config", f"/tenants/{tenant}/api-keys"):
        (await client.get(path)).problem(404, "not_found")
    (await client.create_tenant(slug=plantation.slug))
    told = await erased(place, tenant)
    assert told["removed"]["messages"] > 5

    assert found_in(await place.everything(), canaries.of) == []
    assert (await client.get(f"/audit/verify?tenant_id={tenant}")).expect(200).json["is_valid"] is True
    trail = (await client.get(f"/audit?tenant_id={tenant}&limit=100")).expect(200)
    assert found_in({"trail": trail.body.decode()}, canaries.of) == []
    actors = {entry["actor"] for entry in trail.json}
    assert "user:[erased]" in actors


async def test_secrets_are_nowhere_even_before(place: Place, plantation: Plantation) -> None:
    secrets = {name: word for name, word in plantation.canaries.of.items() if name in plantation.canaries.secret}
    assert secrets.keys() == {"provider key", "tenant's key", "user token", "password", "what the provider says"}
    places = await place.everything() | {"log": place.server.output}
    assert "run_ended" in places["log"], "there is a log, or this proves less"
    assert found_in(places, secrets) == []
