"""A password that was sent turns up nowhere: in no answer, log line, record or remaining request."""

import asyncio
import gc
import io
import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
import sqlalchemy as sa

from retinue.db.session import Database
from retinue.domain.errors import Conflict
from retinue.domain.secret import Secret
from retinue.http.requests import EdgeRequest
from retinue.observability.logging import configure
from retinue.observability.redaction import Redactor
from retinue.resources.runs.resuming.schemas import PasswordBody
from tests.contract.http.api import Client
from tests.contract.http.approving import PAUSE
from tests.contract.http.test_resuming import giving
from tests.contract.http.waiting import Waiting, waiting

CANARY = "xK9-canary-Zq7"


@pytest.fixture
async def scene(lone_client: Client, lone_database: Database) -> Waiting:
    return await waiting(lone_client, lone_database)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Every line of every logger, as the product writes them."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    written = io.StringIO()
    configure(format="json", level="debug", redactor=Redactor(), stream=written)
    yield written
    root.setLevel(before[0])
    root.handlers = before[1]


def bodies(scene: Waiting) -> dict[str, bytes]:
    approval = str(scene.approval.id).encode()
    given = {
        "right": b'{"approval_id": "%b", "password": "%b"}',
        "in a list": b'{"approval_id": "%b", "password": ["%b"]}',
        "in an object": b'{"approval_id": "%b", "password": {"value": "%b"}}',
        "with a line end": b'{"approval_id": "%b", "password": "%b\\n"}',
        "with NUL": b'{"approval_id": "%b", "password": "%b\\u0000"}',
        "cut off": b'{"approval_id": "%b", "password": "%b',
        "no JSON": b"approval_id=%b&password=%b",
        "elsewhere": b'{"approval_id": "%b", "password": 1, "comment": "%b"}',
        "deep": b'{"approval_id": "%b", "password": ' + b"[" * 99 + b'"%b"' + b"]" * 99 + b"}",
        "not UTF-8": b'{"approval_id": "%b", "password": "%b\xff"}',
    }
    sent = {name: body % (approval, CANARY.encode()) for name, body in given.items()}
    return sent | {
        "long": giving_bytes(approval, CANARY * 100),
        "as the approval": b'{"approval_id": "%b", "password": "x"}' % CANARY.encode(),
        "alone": b'"%b"' % CANARY.encode(),
    }


def giving_bytes(approval: bytes, password: str) -> bytes:
    return b'{"approval_id": "%b", "password": "%b"}' % (approval, password.encode())


async def test_no_answer_and_no_log_line_repeats_it(scene: Waiting, log: io.StringIO) -> None:
    path = f"/api/v1{scene.run_path}/password/stream"
    statuses = {}
    for name, body in bodies(scene).items():
        response = await scene.client.http.post(path, content=body)
        statuses[name] = response.status_code
        assert CANARY not in response.text, name
        assert CANARY not in str(response.headers), name
    assert statuses.pop("right") == 200
    assert set(statuses.values()) <= {400, 422}
    assert CANARY not in log.getvalue()


@pytest.mark.parametrize("error", [ZeroDivisionError(), Conflict(code="approval_expired")], ids=repr)
async def test_what_breaks_while_it_is_used_does_not_show_it(
    scene: Waiting, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def give(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(scene.engine, "give_password", give)
    response = await scene.post(f"{scene.run_path}/password/stream", giving(scene, CANARY), idempotency_key="k")
    assert response.status_code == (409 if isinstance(error, Conflict) else 500)
    assert CANARY not in response.text + log.getvalue()
    assert ("ZeroDivisionError" in log.getvalue()) is isinstance(error, ZeroDivisionError)


async def test_nothing_of_it_is_stored_with_a_key(scene: Waiting) -> None:
    """Two passwords leave the same rows but for ids and times: no digest, salted or not, tells them apart."""
    path = f"{scene.run_path}/password/stream"
    rows = []
    for key, password in (("k-1", CANARY), ("k-2", "something else")):
        await scene.post(path, giving(scene, password), idempotency_key=key)
        async with scene.database._jobs.connect() as connection:
            query = sa.text("SELECT digest, answer FROM idempotency_records WHERE key = :key")
            rows.append((await connection.execute(query, {"key": key})).one())
    assert rows[0] == rows[1]
    assert CANARY not in str(rows)


def test_the_body_does_not_show_it() -> None:
    body = msgspec.json.decode(
        b'{"approval_id": "01890000-0000-7000-8000-000000000000", "password": "%b"}' % CANARY.encode(),
        type=PasswordBody,
    )
    assert CANARY not in f"{body!r} {body} {body.asked_for!r}"
    assert CANARY not in msgspec.json.encode(body.asked_for).decode()


async def test_a_stream_that_stays_open_does_not_keep_it(scene: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may go on for long after its password was used; the request is held for as long as the stream."""
    follows, password = asyncio.Event(), f"{CANARY}-only-here"

    async def endless(*_: Any) -> Any:
        follows.set()
        await asyncio.get_running_loop().create_future()
        yield ()

    async def give(*_: Any, **__: Any) -> Any:
        return PAUSE

    monkeypatch.setattr(scene.runs, "follow", endless)
    monkeypatch.setattr(scene.engine, "give_password", give)
    post = asyncio.create_task(send(scene, giving(scene, password)))
    async with asyncio.timeout(5):
        await follows.wait()
    gc.collect()
    held = [each for each in gc.get_objects() if isinstance(each, EdgeRequest)]
    secrets = [each.reveal() for each in gc.get_objects() if isinstance(each, Secret)]
    kept = [(each._body, each._json, each._connection_state.body, each._connection_state.json) for each in held]
    post.cancel()
    assert held, "the request is there, or this proves nothing"
    assert password not in str(kept)
    assert password not in secrets


async def send(scene: Waiting, body: dict[str, Any]) -> httpx2.Response:
    return await scene.client.http.post(f"/api/v1{scene.run_path}/password/stream", json=body)
