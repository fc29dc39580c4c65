"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): a request that is sent twice acts once.

A key counts within its tenant and route, and there for the tenant, the operator or one user alone. What only chooses
how an answer is shown, such as the wire protocol, is no part of the request: the same run may be followed in another
one.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import HeaderParameter

from retinue.db.repositories.idempotency import IdempotencyRepository
from retinue.db.session import Database, Unit
from retinue.domain.encoding import encode
from retinue.domain.errors import Conflict, FieldError, InvalidRequest
from retinue.domain.idempotency import IdempotencyKey
from retinue.http.parameters import REFUSED
from retinue.http.requests import EdgeRequest
from retinue.runs.waiting.tickets import UNNAMED, AnsweredBefore, Ticket

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

KeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        description="The client's own name for this request, 1 to 255 visible ASCII characters. Sent again with the "
        "same key, it acts no second time.",
        schema_extra={"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    ),
]
"""Every POST declares it; a header that is accepted and then ignored would be a trap."""

NoKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        description="Refused: the answer is kept nowhere, so it could not be given again.",
        schema_extra=REFUSED,
    ),
]
"""Of a POST that cannot answer the same again."""

T = TypeVar("T")
R = TypeVar("R")
_HEADER = HEADER.lower().encode()
_KEY = re.compile(r"[!-~]{1,255}")


class Replay(msgspec.Struct, frozen=True):
    """The answer of an earlier request with the same key, byte for byte."""

    answer: bytes


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """Lets what has a key be made once: record and object are one commit.

    Example:
        async with database.unit(tenant_id) as unit:
            if replay := await once.begin(unit.idempotency, key):
                return replay
            await unit.employees.add(employee)
            await once.end(unit.idempotency, key, employee)
    """

    keep_seconds: float = 86_400.0
    at_work_seconds: float = 120.0
    """How long a request may be at work between two units before its key can be had again: its process may be gone."""

    async def begin(
        self, records: IdempotencyRepository, key: IdempotencyKey | None, *, goes_on: bool = False
    ) -> Replay | None:
        """The first thing in the unit that acts. None if it is to act; else the answer to give.

        Waits for another request with the same key that is about to commit. With `goes_on` the request is at work for
        longer than the unit, and has to call `end_later` in a later one, or to forget the key.

        Raises:
            InvalidRequest: `idempotency_key_reused`: the key came with another request before.
            Conflict: `idempotency_key_in_use`: the first request is still at work.
        """
        if key is None:
            return None
        record = await records.claim(key, keep_seconds=self.at_work_seconds if goes_on else self.keep_seconds)
        if record is None:
            return None
        if record.answer is None:
            raise Conflict("A request with this key is at work.", code="idempotency_key_in_use")
        return Replay(record.answer)

    async def end(self, records: IdempotencyRepository, key: IdempotencyKey | None, made: Any) -> None:
        """The last thing in the unit that acts: keep the answer with the key."""
        if key is not None:
            await records.keep(key, answer=encode(made))

    async def end_later(self, records: IdempotencyRepository, key: IdempotencyKey | None, made: Any) -> None:
        """As `end`, in a later unit than `begin`: from now on the key is kept for its whole time."""
        if key is not None:
            await records.forget(key)
            await records.claim(key, keep_seconds=self.keep_seconds)
            await self.end(records, key, made)

    async def within(
        self, key: IdempotencyKey | None, form: Callable[[T], R], act: Callable[[Ticket], Awaitable[T]]
    ) -> R | Replay:
        """For what opens a unit of its own and acts there with the ticket that it is given.

        Args:
            form: what is answered, made of what came of it.

        Raises:
            InvalidRequest: `idempotency_key_reused`.
        """
        if key is None:
            return form(await act(UNNAMED))
        try:
            return form(await act(_Keyed(self, key, form)))
        except _Replayed as before:
            return before.replay

    async def around(
        self, database: Database, tenant_id: UUID, key: IdempotencyKey | None, act: Callable[[], Awaitable[T]]
    ) -> T | Replay:
        """For what spans units of its own: the key is claimed before it and gets its answer after it. What fails leaves
        the key free. Not for what acts: after a crash in between, the request would be refused instead of answered.

        Raises:
            InvalidRequest, Conflict: see `begin`.
        """
        if key is None:
            return await act()
        async with database.unit(tenant_id) as unit:
            if replay := await self.begin(unit.idempotency, key, goes_on=True):
                return replay
        try:
            made = await act()
            async with database.unit(tenant_id) as unit:
                await self.end_later(unit.idempotency, key, made)
        except Exception:
            async with database.unit(tenant_id) as unit:
                await unit.idempotency.forget(key)
            raise
        return made


class _Keyed(Ticket):
    def __init__(self, once: Once, key: IdempotencyKey, form: Callable[[Any], Any]) -> None:
        self._once = once
        self._key = key
        self._form = form

    async def begin(self, unit: Unit) -> None:
        if replay := await self._once.begin(unit.idempotency, self._key):
            raise _Replayed(replay)

    async def end(self, unit: Unit, made: Any) -> None:
        await self._once.end(unit.idempotency, self._key, self._form(made))


class _Replayed(AnsweredBefore):
    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self.replay = replay


def key_of(request: EdgeRequest, header: str | None, body: msgspec.Struct | None = None) -> IdempotencyKey | None:
    """The key of a request; None if it has none. Its route is told without regard to the spelling of ids.

    `header` is what the handler got; should there be several header lines, it got one of them.

    Raises:
        InvalidRequest: code `invalid_idempotency_key`.
    """
    if header is None:
        return None
    if any(name == _HEADER and value.decode("latin-1") != header for name, value in request.scope["headers"]):
        raise _invalid("Send one key, not several.")
    if not _KEY.fullmatch(header):
        raise _invalid("A key has 1 to 255 visible ASCII characters.")
    route = f"{request.method} {request.scope['path_template'].format(**request.path_params)}"
    if request.principal.user_id is not None:
        # Users of a tenant choose their keys on their own, and must not get each other's answers.
        route += f" {hashlib.sha256(request.principal.user_id.encode()).hexdigest()}"
    elif request.principal.kind == "operator":
        # A tenant that has asked for the same before must not have it that the operator's request does nothing.
        route += " operator"
    return IdempotencyKey(route=route, key=header, digest=digest_of(body))


def refuse_key(header: str | None) -> None:
    """Raises: InvalidRequest, code `invalid_idempotency_key`, if there is one."""
    if header is not None:
        raise _invalid("This request takes no key: its answer is kept nowhere.")


def digest_of(body: msgspec.Struct | None) -> str:
    """SHA-256 of what a body asks for. Fields that have their default value do not count: whether they were written out
    makes no difference, and a field that is added some day does not change the digests of older requests.
    """
    return hashlib.sha256(msgspec.json.encode(_asked_for(body), order="deterministic")).hexdigest()


def answer_with(made: T | Replay) -> Response[T]:
    """What was made, or what an earlier request with the same key was answered with."""
    if isinstance(made, Replay):
        return Response(made.answer, headers={REPLAYED: "true"}, media_type="application/json")  # type: ignore[arg-type]
    return Response(encode(made), media_type="application/json")  # type: ignore[arg-type]


def _asked_for(value: Any) -> Any:
    if not isinstance(value, msgspec.Struct):
        return value
    fields = msgspec.structs.fields(value)
    chosen = {field.encode_name: getattr(value, field.name) for field in fields}
    defaults = {field.encode_name: field.default for field in fields}
    return {name: _asked_for(given) for name, given in chosen.items() if given != defaults[name]}


def _invalid(detail: str) -> InvalidRequest:
    errors = (FieldError(parameter=HEADER, detail=detail),)
    return InvalidRequest(detail, code="invalid_idempotency_key", errors=errors)
