"""What a deleted tenant has left in Redis goes; nobody else's does."""

import pytest

from retinue.coordination.redis import RedisCoordination
from retinue.coordination.redis import forgetting as module
from retinue.coordination.redis.keys import run_key
from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow


async def test_every_key_of_the_tenant_goes(
    redis_url: str, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEYS_PER_LOOK", 7)
    tenant, neighbour = new_id(), new_id()
    with shared_redis.client() as client:
        for owner in (tenant, neighbour):
            for _ in range(100):
                client.xadd(run_key(owner, new_id()), {"f": 1, "e": b"said"})
        client.set(f"retinue:{tenant}:rate:requests:user:x", 1)
        client.set(f"{tenant}", "not ours")
        coordination = RedisCoordination(redis_url, process="p")
        await coordination.forget(tenant)
        left = client.keys("*")
    assert len(left) == 101
    assert [key for key in left if str(tenant).encode() in key] == [str(tenant).encode()]
    await RedisCoordination(redis_url, process="p").forget(tenant)


async def test_without_a_server_it_says_so(redis_server: RedisServer) -> None:
    redis_server.stop()
    with pytest.raises(Unavailable):
        await RedisCoordination(redis_server.url, process="p").forget(new_id())


async def test_a_server_that_refuses_is_no_success(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        tenant = new_id()
        client.config_set("min-replicas-to-write", 0)
        client.set(f"retinue:{tenant}:run:x", 1)
        client.config_set("min-replicas-to-write", 1)
        with pytest.raises(Unavailable):
            await RedisCoordination(redis_server.url, process="p").forget(tenant)
