"""What is asked of a server, and what it answers, byte for byte."""

import asyncio
import shlex
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

T = TypeVar("T")

REQUEST_ID = "X-Request-ID"
STREAM = "text/event-stream"
_CONNECTIONS = 16
_SECONDS = 60.0
_STREAM_SECONDS = 5.0
"""So long a stream is read that does not end."""
_TRIES = 30
_LONGEST_PAUSE = 10.0


class ProvingFailed(Exception):
    """Nothing was proven; the text says why."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request, but for who asks."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: Any = None
    names: tuple[str, ...] = ()
    """The names of things that were put in, in the order of their places."""

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def as_curl(self, url: str, variable: str | None) -> str:
        """The request to copy, with the credential in a variable of the shell."""
        words = ["curl", "-i", "-X", self.method]
        for name, value in self.headers.items():
            words += ["-H", shlex.quote(f"{name}: {value}")]
        if variable is not None:
            words += ["-H", f'"Authorization: Bearer ${variable}"']
        if self.body is not None:
            words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(_json(self.body).decode())]
        return " ".join([*words, shlex.quote(url + self.target)])


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order in which they came."""
    body: bytes

    @property
    def is_stream(self) -> bool:
        return any(name == "content-type" and value.startswith(STREAM) for name, value in self.headers)

    @property
    def is_success(self) -> bool:
        return self.status < 400

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def json(self) -> Any:
        """Raises: ProvingFailed."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise ProvingFailed(f"An answer is no JSON: {self.body[:200]!r}") from None


class Server:
    """A running Retinue. Use it as a context manager."""

    def __init__(self, url: str) -> None:
        """Raises: ProvingFailed: the URL cannot be read."""
        self.url = url.rstrip("/")
        self.requests = 0
        limits = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        try:
            self._client = httpx2.AsyncClient(base_url=self.url, timeout=_SECONDS, limits=limits, trust_env=False)
        except httpx2.InvalidURL:
            raise ProvingFailed(f"{url} is no URL.") from None

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, ask: Ask, credential: str | None, *, is_patient: bool = True) -> Answer:
        """Ask; with patience, ask again while the server has no time.

        Raises:
            ProvingFailed: it does not answer.
        """
        for _ in range(_TRIES):
            try:
                answer = await self._ask(ask, credential)
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                # The server has closed a connection just when it was used again.
                continue
            except httpx2.HTTPError as error:
                raise ProvingFailed(f"{self.url} does not answer ({type(error).__name__}).") from None
            if answer.status not in {429, 503} or not is_patient:
                return answer
            await asyncio.sleep(min(float(answer.header("retry-after") or 1), _LONGEST_PAUSE))
        raise ProvingFailed(f"{ask.method} {ask.path} is not answered, or refused for lack of time, again and again.")

    async def _ask(self, ask: Ask, credential: str | None) -> Answer:
        headers = dict(ask.headers)
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
        content = None if ask.body is None else _json(ask.body)
        self.requests += 1
        async with self._client.stream(ask.method, ask.target, headers=headers, content=content) as response:
            pairs = tuple((name.lower(), value) for name, value in response.headers.multi_items())
            head = Answer(status=response.status_code, headers=pairs, body=b"")
            body = await _body(response, is_stream=head.is_stream)
        return msgspec.structs.replace(head, body=body)


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """What all of them come to. If one fails, the others are ended first."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _body(response: httpx2.Response, *, is_stream: bool) -> bytes:
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(_STREAM_SECONDS if is_stream else None):
            async for part in response.aiter_raw():
                parts.append(part)  # noqa: PERF401
    except TimeoutError:
        pass
    return b"".join(parts)


def _json(body: Any) -> bytes:
    return msgspec.json.encode(body)
