"""The fake upstream: OpenAI Chat Completions and Anthropic Messages on a loopback socket."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.support.upstream import catalogue, chat, messages, wire
from tests.support.upstream.player import Gone, Player
from tests.support.upstream.recording import RecordedRequest
from tests.support.upstream.scenario import Scenario
from tests.support.upstream.steps import Ask, Step, read_ask

LONG = 86_400.0


class FakeUpstream:
    """A model vendor under control.

        async with FakeUpstream() as upstream:
            upstream.enqueue(says("Hello"), refusal(429))
            ...                       # point a provider at upstream.openai_url or upstream.anthropic_url
            assert upstream.requests[0].body["model"] == "gpt-4"

    A request takes the first scenario of the queue; when the queue is empty, the model's name chooses one from the
    catalogue, else the last user message is echoed. Leaving the context complains about scenarios that nobody asked for
    and about scenarios that could not be played.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, accepted_keys: Iterable[str] | None = None) -> None:
        self.requests: list[RecordedRequest] = []
        self.faults: list[str] = []
        """What went wrong in the fake itself."""
        self.accepted_keys = None if accepted_keys is None else set(accepted_keys)
        """Any other key gets 401; None accepts all."""
        self._host, self._port = host, port
        self._queue: deque[Scenario] = deque()
        self._connections: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __aenter__(self) -> "FakeUpstream":
        await self.start()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self.stop()
        if kind is None:
            self.check()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, self._host, self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def check(self) -> None:
        """Complain about a scenario that was never asked for or could not be played."""
        assert not self.faults, f"the fake upstream failed: {self.faults}"
        assert not self._queue, f"{len(self._queue)} enqueued scenarios were never asked for"

    @property
    def address(self) -> str:
        """`host:port`, as `RETINUE_EGRESS_ALLOW` wants it."""
        return f"{self._host}:{self._port}"

    @property
    def openai_url(self) -> str:
        return f"http://{self.address}/v1"

    @property
    def azure_url(self) -> str:
        return f"http://{self.address}"

    @property
    def anthropic_url(self) -> str:
        return f"http://{self.address}"

    def enqueue(self, *scenarios: Scenario) -> None:
        """The next requests get these, in order."""
        self._queue.extend(scenarios)

    def release(self, name: str = "hold") -> None:
        """Let every answer go on that waits at this `Hold`, or will come to it."""
        self._gates[name].set()

    def close_gates(self) -> None:
        """Answers wait again at every `Hold` that they come to."""
        self._gates.clear()

    async def wait_for_request(self, index: int = 0, *, within: float = 5) -> RecordedRequest:
        """The request with this number, as soon as it has arrived.

        Raises:
            TimeoutError: it did not arrive in time.
        """
        async with asyncio.timeout(within), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) > index)
        return self.requests[index]

    async def wait_for_close(self, index: int = 0, *, within: float = 5) -> RecordedRequest:
        """Wait until the peer has closed the connection of this request before its answer was complete.

        Raises:
            TimeoutError: the peer still listens, or the answer was complete.
        """
        async with asyncio.timeout(within):
            record = await self.wait_for_request(index, within=within)
            await record.closed.wait()
        return record

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = wire.WatchedReader()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        return asyncio.StreamReaderProtocol(reader, accept)

    async def _serve(self, reader: wire.WatchedReader, writer: asyncio.StreamWriter) -> None:
        try:
            while incoming := await wire.read_request(reader):
                if not await self._handle(incoming, reader, writer):
                    break
        except Exception as error:
            self.faults.append(repr(error))
        finally:
            writer.close()

    async def _handle(self, incoming: wire.Incoming, reader: wire.WatchedReader, writer: asyncio.StreamWriter) -> bool:
        record = await self._record(incoming, writer)
        answer = self._answer(record)
        player = Player(reader, writer, record, self._gates)
        try:
            if answer.scenario.before_headers:
                player.due = player.clock()
                await player.wait(answer.scenario.before_headers)
            writer.write(answer.head)
            record.answered_at = time.monotonic()
            reusable = True if answer.steps is None else await player.play(answer.scenario, answer.steps)
            await writer.drain()
        except (Gone, ConnectionError):
            record.note_closed()
            return False
        record.completed_at = None if writer.transport.is_closing() else time.monotonic()
        return reusable and incoming.headers.get("connection", "").lower() != "close"

    async def _record(self, incoming: wire.Incoming, writer: asyncio.StreamWriter) -> RecordedRequest:
        try:
            body = msgspec.json.decode(incoming.body)
        except msgspec.DecodeError:
            body = None
        record = RecordedRequest(
            method=incoming.method,
            path=incoming.path,
            query=incoming.query,
            headers=incoming.headers,
            body=body,
            raw_body=incoming.body,
            peer=writer.get_extra_info("peername")[:2],
        )
        async with self._arrived:
            self.requests.append(record)
            self._arrived.notify_all()
        return record

    def _answer(self, record: RecordedRequest) -> "_Answer":
        is_messages = record.path.endswith("/messages")
        if self.accepted_keys is not None and record.key not in self.accepted_keys:
            return _refuse(401, is_anthropic=is_messages or "anthropic-version" in record.headers)
        if record.method == "GET" and record.path.startswith("/v1/models"):
            return _models(record)
        if record.method != "POST" or not record.path.endswith(("/chat/completions", "/messages")):
            return _refuse(404, is_anthropic="anthropic-version" in record.headers)
        ask = read_ask(record.body)
        record.scenario = self._queue.popleft() if self._queue else catalogue.choose(ask)
        return _speak(record.scenario, ask, is_anthropic=is_messages)


class _Answer(msgspec.Struct):
    """A head (with the whole body, unless steps follow)."""

    head: bytes
    scenario: Scenario = Scenario()
    steps: Iterable[Step] | None = None


def _speak(scenario: Scenario, ask: Ask, *, is_anthropic: bool) -> _Answer:
    if scenario.body is not None:
        return _whole(scenario, scenario.body.encode(), scenario.content_type or "text/plain")
    if scenario.status >= 300:
        body = (
            messages.error_body(scenario.status, scenario.error_type)
            if is_anthropic
            else chat.error_body(scenario.status, scenario.error_type, scenario.error_code)
        )
        return _json(scenario, body)
    if not ask.stream:
        return _json(scenario, messages.message(scenario, ask) if is_anthropic else chat.completion(scenario, ask))
    headers = {"Content-Type": scenario.content_type or "text/event-stream; charset=utf-8"}
    headers |= {"Transfer-Encoding": "chunked"} if scenario.framing == "chunked" else {"Connection": "close"}
    dialect = messages if is_anthropic else chat
    return _Answer(wire.head(scenario.status, headers | scenario.headers), scenario, dialect.steps(scenario, ask))


def _json(scenario: Scenario, body: Any) -> _Answer:
    return _whole(scenario, msgspec.json.encode(body), scenario.content_type or "application/json")


def _whole(scenario: Scenario, body: bytes, content_type: str) -> _Answer:
    headers = {"Content-Type": content_type, "Content-Length": str(len(body)), **scenario.headers}
    return _Answer(wire.head(scenario.status, headers) + body, scenario)


def _refuse(status: int, *, is_anthropic: bool) -> _Answer:
    return _speak(Scenario(status=status), Ask(), is_anthropic=is_anthropic)


def _models(record: RecordedRequest) -> _Answer:
    is_anthropic = "anthropic-version" in record.headers
    names = catalogue.names()
    wanted = record.path.removeprefix("/v1/models").strip("/")
    listing = (messages.models if is_anthropic else chat.models)([wanted] if wanted else names)
    if wanted and wanted not in names:
        return _refuse(404, is_anthropic=is_anthropic)
    return _json(Scenario(), listing["data"][0] if wanted else listing)
