"""Tools for the servers of these tests; see `tests.support.fork_template`.

Each asks the receiver whether to go on: in `assess` at the gate `assess`, and around its one request at `before` and
`after`.
"""

import os
from typing import Annotated, Any, ClassVar

import msgspec

from retinue.domain.tools import Assessment, Effect, Risk
from retinue.tools.base import Caller, Invocation, Tool
from tests.support import http1


class Marked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    marker: Annotated[str, msgspec.Meta(description="Which call this is.")]


class RemoteTool(Tool[Marked]):
    """Makes one request to the receiver."""

    description = "Tells somebody far away."
    arguments = Marked
    path: ClassVar[str]

    def __init__(self, address: str) -> None:
        self._address = address

    async def assess(self, arguments: Marked, caller: Caller) -> Assessment:
        await self._gate("assess", arguments)
        return await super().assess(arguments, caller)

    async def run(self, arguments: Marked, invocation: Invocation) -> Any:
        await self._gate("before", arguments)
        answer = await self._post(self.path, arguments, key=invocation.idempotency_key)
        await self._gate("after", arguments)
        return answer

    async def _gate(self, point: str, arguments: Marked) -> None:
        await self._post("/gate", arguments, point=point)

    async def _post(self, path: str, arguments: Marked, *, point: str = "", key: str = "") -> Any:
        body = msgspec.json.encode({"marker": arguments.marker, "point": point, "pid": os.getpid()})
        async with await http1.request(
            self._address, "POST", path, body=body, headers={"idempotency-key": key}
        ) as response:
            answer = await response.read()
        if response.status != 200 or response.ending != "complete":
            raise ConnectionError
        return msgspec.json.decode(answer)


class RemoteWrite(RemoteTool):
    name = "remote_write"
    effect = Effect.WRITE
    path = "/write"


class RemoteSet(RemoteTool):
    name = "remote_set"
    effect = Effect.IDEMPOTENT
    path = "/idempotent"


class RemoteRead(RemoteTool):
    name = "remote_read"
    effect = Effect.READ
    risk = Risk.LOW
    path = "/read"


def tools() -> list[Tool[Any]]:
    address = os.environ["TESTS_RECEIVER"]
    return [RemoteWrite(address), RemoteSet(address), RemoteRead(address)]
