"""Requests one after the other, on a connection that stays open."""

import http.client
from typing import Any

import msgspec

from tests.support.client import API, Answer
from tests.support.sse import Frame, FrameParser

PATIENCE = 60.0


class Caller:
    def __init__(self, address: str) -> None:
        self._address = address
        self._connection = self._connect()

    def close(self) -> None:
        self._connection.close()

    def call(
        self, credential: str | None, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Answer:
        """Any request, with its whole answer."""
        try:
            response = _send(self._connection, (method, path), body, _headers(credential, key))
            content = response.read()
        except BaseException:
            self.close()
            raise
        return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], content)

    def stream(self, credential: str, path: str, body: object, *, key: str | None = None) -> tuple[Answer, list[Frame]]:
        """The events of a POST that streams, read to the end; none if it is refused."""
        answer = self.call(credential, "POST", path, body, key=key)
        if answer.status != 200:
            return answer, []
        parser = FrameParser()
        frames = [frame for frame in parser.feed(answer.body) if frame.data is not None]
        assert not parser.leftover, parser.leftover
        return answer, frames

    def begin(self, credential: str, path: str, body: object, *, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """Status and first event of a POST that streams, or its problem; then go away."""
        connection = self._connect()
        try:
            response = _send(connection, ("POST", path), body, _headers(credential, key))
            if response.status != 200:
                return response.status, msgspec.json.decode(response.read())
            parser = FrameParser()
            while piece := response.read1(65_536):
                if frames := [frame for frame in parser.feed(piece) if frame.data is not None]:
                    return 200, frames[0].json
            raise AssertionError("the stream ended before it began")
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, _, port = self._address.rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=PATIENCE)


def _headers(credential: str | None, key: str | None) -> dict[str, str]:
    headers = {} if credential is None else {"authorization": f"Bearer {credential}"}
    return headers if key is None else headers | {"idempotency-key": key}


def _send(
    connection: http.client.HTTPConnection, target: tuple[str, str], body: object, headers: dict[str, str]
) -> http.client.HTTPResponse:
    method, path = target
    content = None if body is None else msgspec.json.encode(body)
    kind = {} if content is None else {"content-type": "application/json"}
    connection.request(method, API + path, body=content, headers=headers | kind)
    return connection.getresponse()
