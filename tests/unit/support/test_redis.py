"""The real Redis of the tests."""

from tests.support.redis import answers, running_redis


def test_answers_ping_and_is_gone_afterwards() -> None:
    with running_redis() as url:
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
        assert answers(port)
    assert not answers(port)
