"""The client, holding every answer against the description of the API."""

from typing import Any
from uuid import UUID

import msgspec

from tests.e2e.contract.description import Description
from tests.support.client import API, Answer, RetinueClient, StreamedAnswer
from tests.support.sse import EventStream, Frame


class CheckedClient(RetinueClient):
    def __init__(self, address: str, key: str | None, description: Description | None = None) -> None:
        super().__init__(address, key)
        self._description = description

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        answer = await super().call(method, path, body, raw=raw, headers=headers)
        assert answer.header("x-request-id"), answer.headers
        kind = answer.header("content-type") or ""
        if self._description is not None and not kind.startswith("text/event-stream"):
            value = msgspec.json.decode(answer.body) if answer.body else None
            target = path if path.startswith(API) else API + path
            self._description.check(method, target, answer.status, kind or None, value)
        return answer

    async def ask(self, conversation: UUID, content: str, **fields: Any) -> StreamedAnswer:
        answer = await super().ask(conversation, content, **fields)
        if fields.get("protocol") is None:
            self._check_frames(conversation, answer.frames)
        return answer

    async def read(self, conversation: UUID, stream: EventStream) -> StreamedAnswer:
        """The rest of a stream in the default protocol."""
        frames = await stream.rest()
        self._check_frames(conversation, frames)
        return StreamedAnswer(frames)

    def _check_frames(self, conversation: UUID, frames: list[Frame]) -> None:
        if self._description is not None:
            for frame in frames:
                target = f"{API}/conversations/{conversation}/messages/stream"
                self._description.check_frame("POST", target, frame.json)
