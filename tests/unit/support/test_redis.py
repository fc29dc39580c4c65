"""The Redis of the tests is a real one that starts in a moment and dies without a trace."""

from tests.support.redis import RedisServer, answers, running_redis


def test_a_real_redis_answers_and_ends() -> None:
    with running_redis() as server:
        assert answers(server.port)
    assert not answers(server.port)


def test_it_comes_back_on_its_port_and_has_forgotten_everything(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("a", "b")
    redis_server.kill()
    assert not answers(redis_server.port)
    redis_server.start()
    with redis_server.client() as client:
        assert client.get("a") is None
