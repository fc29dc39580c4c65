"""Requests per minute: who is counted, what is told, and that nothing is done for whoever sends too many."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from litestar import Litestar, get, post
from litestar.response import Stream
from litestar.testing import AsyncTestClient

from retinue.coordination.base import Rates, Verdict
from retinue.coordination.buckets import MemoryRates
from retinue.domain.access import EVERYTHING, Scope
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.limits import Bounds, Bucket, Limits
from retinue.http.attendance import USERS_SHARE, Attendance
from retinue.http.middleware import Edge
from retinue.http.problems import exception_handlers
from retinue.http.rate_limit import RequestMeter
from retinue.http.requests import EdgeRequest
from retinue.security.attempts import Attempts
from retinue.security.credentials import refused
from retinue.security.guards import AccessGuard
from retinue.security.principal import OPERATOR, Principal
from tests.unit.http.conftest import LIMITS, LOCAL

TENANT, KEY = new_id(), new_id()
READ = frozenset({Scope.AUDIT_READ})
PRINCIPALS = {
    "operator": OPERATOR,
    "key": Principal(kind="key", tenant_id=TENANT, key_id=KEY, scopes=EVERYTHING),
    "poor": Principal(kind="key", tenant_id=TENANT, key_id=KEY, scopes=READ),
    "ada": Principal(kind="user", tenant_id=TENANT, key_id=KEY, user_id="ada", scopes=EVERYTHING),
    "bob": Principal(kind="user", tenant_id=TENANT, key_id=KEY, user_id="bob", scopes=EVERYTHING),
}
HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-policy")


class Doorman:
    """Knows a few credentials by heart, and counts whom he had to look up."""

    looked_up = 0

    async def principal(self, credential: bytes) -> Principal:
        self.looked_up += 1
        if found := PRINCIPALS.get(credential.decode()):
            return found
        raise refused("This key is not valid.")


class Book:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    async def of(self, _tenant_id: Any) -> Limits:
        return self.limits


@get("/free", public=True, sync_to_thread=False)
def free() -> str:
    return "free"


@get("/closed", scope=Scope.TENANT_READ, sync_to_thread=False)
def closed() -> str:
    return "in"


@get("/missing", scope=Scope.TENANT_READ, sync_to_thread=False)
def missing() -> str:
    raise NotFound


@get("/stream", scope=Scope.TENANT_READ, sync_to_thread=False)
def streamed() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: x\n\n"

    return Stream(pieces(), media_type="text/event-stream")


@post("/body", scope=Scope.TENANT_READ)
async def with_body(request: EdgeRequest) -> str:
    await request.body()
    return "read"


def app(
    limits: Limits, rates: Rates | None = None, wrong: int = 30, attendance: Attendance | None = None
) -> tuple[Any, Doorman]:
    doorman: Any = Doorman()
    book: Any = Book(limits)
    meter = RequestMeter(rates or MemoryRates(), book, attendance or Attendance(100))
    guard = AccessGuard(doorman, meter=meter, attempts=Attempts(wrong))
    litestar = Litestar(
        [free, closed, missing, streamed, with_body],
        guards=[guard],
        exception_handlers=exception_handlers(),
        request_class=EdgeRequest,
        openapi_config=None,
        logging_config=None,
    )
    return Edge(litestar, LIMITS), doorman


async def ask(asgi: Any, *who: str, path: str = "/closed", method: str = "GET", **more: Any) -> list[Any]:
    async with AsyncTestClient(asgi, base_url=LOCAL) as client:
        return [await client.request(method, path, headers={"authorization": f"Bearer {name}"}, **more) for name in who]


def of_tenant(bound: int, **others: int) -> Limits:
    return Limits(**{party: Bounds(requests_per_minute=each) for party, each in {"tenant": bound, **others}.items()})


async def test_every_answer_says_how_much_is_left() -> None:
    answers = await ask(app(of_tenant(3))[0], "key", "key", "key", "key")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"3"}
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {"3;w=60"}
    assert [answer.headers["ratelimit-reset"] for answer in answers] == ["20", "40", "60", "60"]
    assert answers[-1].json()["code"] == "rate_limited"
    assert answers[-1].headers["retry-after"] == "20"
    assert all("retry-after" not in answer.headers for answer in answers[:-1])


@pytest.mark.parametrize("path", ["/missing", "/stream", "/closed"])
async def test_streams_and_problems_say_it_too(path: str) -> None:
    (answer,) = await ask(app(of_tenant(9))[0], "key", path=path)
    assert answer.headers["ratelimit-remaining"] == "8"


async def test_the_tightest_bound_is_told_and_all_are_named() -> None:
    asgi, _ = app(of_tenant(100, key=50, user=2))
    answers = await ask(asgi, "ada", "ada", "ada", "bob", "key")
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200]
    assert [answer.headers["ratelimit-limit"] for answer in answers] == ["2", "2", "2", "2", "50"]
    assert answers[0].headers["ratelimit-policy"] == "100;w=60, 50;w=60, 2;w=60"
    assert answers[-1].headers["ratelimit-policy"] == "100;w=60, 50;w=60"
    assert answers[-1].headers["ratelimit-remaining"] == "46", "what was refused counts nowhere"


async def test_who_may_not_use_a_route_is_counted_as_well() -> None:
    answers = await ask(app(of_tenant(2))[0], "poor", "poor", "poor")
    assert [answer.status_code for answer in answers] == [403, 403, 429]
    assert answers[0].headers["ratelimit-remaining"] == "1"


@pytest.mark.parametrize("limits", [Limits(), of_tenant(1)])
async def test_the_operator_and_public_routes_are_not_counted(limits: Limits) -> None:
    asgi, _ = app(limits)
    answers = await ask(asgi, "operator", "operator", "operator")
    answers += await ask(asgi, "key", "key", "nobody", path="/free")
    assert [answer.status_code for answer in answers] == [200] * 6
    assert not any(name in answer.headers for answer in answers for name in HEADERS)


async def test_who_is_not_bounded_is_told_nothing() -> None:
    answers = await ask(app(Limits(user=Bounds(requests_per_minute=1)))[0], "key", "key")
    assert [answer.status_code for answer in answers] == [200, 200]
    assert not any(name in answer.headers for answer in answers for name in HEADERS)


async def test_at_once_only_so_many_are_answered() -> None:
    asgi, _ = app(of_tenant(9), attendance=Attendance(0))
    (refused_one, operator) = await ask(asgi, "key", "operator")
    assert (refused_one.status_code, refused_one.json()["code"]) == (429, "rate_limited")
    assert refused_one.headers["ratelimit-remaining"] == "8", "it counts all the same"
    assert int(refused_one.headers["retry-after"]) > 0
    assert operator.status_code == 200


async def test_a_user_has_a_part_of_the_tenants_places() -> None:
    attendance = Attendance(USERS_SHARE)
    scope: Any = {"state": {}}
    attendance.enter(scope, TENANT, "ada")
    asgi, _ = app(of_tenant(9), attendance=attendance)
    assert [answer.status_code for answer in await ask(asgi, "ada", "bob", "key")] == [429, 200, 200]


async def test_a_body_that_comes_too_often_is_not_read() -> None:
    asgi, _ = app(of_tenant(1))
    await ask(asgi, "key")
    reads = 0

    scope = {"type": "http", "method": "POST", "path": "/body", "raw_path": b"/body", "query_string": b""}
    scope |= {"headers": [(b"x-api-key", b"key")], "client": ("192.0.2.1", 1), "server": ("x", 80), "scheme": "http"}
    scope |= {"http_version": "1.1", "root_path": ""}
    sent: list[Any] = []

    async def receive() -> Any:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await asgi(scope, receive, send)
    assert (sent[0]["status"], reads) == (429, 0)


async def test_guessing_is_not_listened_to_for_long() -> None:
    asgi, doorman = app(Limits(), wrong=5)
    await ask(asgi, "key")
    answers = await ask(asgi, *(f"guess-{number}" for number in range(8)))
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert doorman.looked_up == 6
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) >= 1
    (known,) = await ask(asgi, "key")
    assert known.status_code == 200, "whoever was right before is not shut out"


async def test_rates_are_asked_once_for_all_buckets_of_a_request() -> None:
    class Listening(MemoryRates):
        taken: list[Sequence[Bucket]] = []  # noqa: RUF012

        async def take(self, buckets: Sequence[Bucket], amount: int = 1, *, may_owe: bool = False) -> Verdict:
            self.taken.append(buckets)
            return await super().take(buckets, amount, may_owe=may_owe)

    rates = Listening()
    await ask(app(of_tenant(10, key=10, user=10), rates)[0], "ada")
    assert [[bucket.party for bucket in each] for each in rates.taken] == [["tenant", "key", "user"]]
