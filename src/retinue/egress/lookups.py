"""Names to addresses by the operating system, which takes as long as the name's servers like."""

import asyncio
import contextlib
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import NamedTuple

MAX_THREADS = 32
"""Lookups at once for the hosts that settings name, and as many for those that models choose."""
MAX_PER_ASKER = 4
"""Lookups of chosen hosts that one asker may have under way."""
MAX_PER_HOST = 4
"""Lookups of one host that settings name; who comes later waits for the newest of them."""

Ask = Callable[[str, int], list[str]]
"""Asks and blocks."""
Answer = asyncio.Future[list[str]]

_asker: ContextVar[Hashable] = ContextVar("asker", default=None)


class TooManyLookups(Exception):
    """This asker has as many lookups under way as it may."""


@contextlib.contextmanager
def asking_for(asker: Hashable) -> Iterator[None]:
    """What is resolved in this block was chosen by a model, and is on the account of `asker`."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


class SystemResolver:
    """Asks the operating system's resolver, off the event loop. One for each client, as it belongs to an event loop.

    A lookup cannot be interrupted. It takes its place until it ends, however long nobody waits for it any more, so
    places are what is shared out: no asker has more than its few, no host of the settings has more than its few, and
    neither of the two kinds can use up the places of the other. None of it keeps the process from exiting.

    Raises:
        TooManyLookups: at once, and only inside of `asking_for`.
        OSError: see `Resolver`.
    """

    def __init__(self, ask: Ask | None = None) -> None:
        self._ask = ask or _ask_system
        self._named = Lookups(MAX_THREADS)
        self._chosen = Lookups(MAX_THREADS)

    async def __call__(self, host: str, port: int) -> list[str]:
        asker = _asker.get()
        answer = self._of_settings(host, port) if asker is None else self._of_model(asker, host, port)
        return await asyncio.shield(answer)

    def _of_settings(self, host: str, port: int) -> Answer:
        under_way = self._named.under_way(host)
        if len(under_way) >= MAX_PER_HOST:
            return under_way[-1]
        return self._named.begin(host, partial(self._ask, host, port))

    def _of_model(self, asker: Hashable, host: str, port: int) -> Answer:
        if len(self._chosen.under_way(asker)) >= MAX_PER_ASKER:
            raise TooManyLookups
        return self._chosen.begin(asker, partial(self._ask, host, port))


class _Lookup(NamedTuple):
    ask: Callable[[], list[str]]
    answer: Answer


class Lookups:
    """Lookups in threads of their own, at most `threads` at once; the others wait for their turn.

    The threads are daemons, which an executor's are not: the interpreter would wait for those at its end.
    """

    def __init__(self, threads: int) -> None:
        self._free = threads
        self._waiting: deque[_Lookup] = deque()
        self._under_way: defaultdict[Hashable, list[Answer]] = defaultdict(list)

    def under_way(self, account: Hashable) -> Sequence[Answer]:
        """Of this account, oldest first: those that wait for their turn, too, and those that everybody has given up."""
        return self._under_way.get(account, ())

    def begin(self, account: Hashable, ask: Callable[[], list[str]]) -> Answer:
        """The answer is done when the thread has ended. It may be awaited by many: shield it."""
        answer: Answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(partial(self._strike_off, account))
        self._under_way[account].append(answer)
        self._waiting.append(_Lookup(ask, answer))
        self._start_waiting()
        return answer

    def _start_waiting(self) -> None:
        while self._waiting and self._free:
            lookup = self._waiting.popleft()
            self._free -= 1
            try:
                threading.Thread(target=self._work, args=(lookup,), name="lookup", daemon=True).start()
            except RuntimeError:
                no_thread = OSError("the system gives no thread")
                lookup.answer.get_loop().call_soon(self._ended, lookup.answer, no_thread)

    def _work(self, lookup: _Lookup) -> None:
        came: list[str] | BaseException
        try:
            came = lookup.ask()
        except BaseException as error:
            came = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            lookup.answer.get_loop().call_soon_threadsafe(self._ended, lookup.answer, came)

    def _ended(self, answer: Answer, came: list[str] | BaseException) -> None:
        self._free += 1
        if isinstance(came, BaseException):
            answer.set_exception(came)
        else:
            answer.set_result(came)
        self._start_waiting()

    def _strike_off(self, account: Hashable, answer: Answer) -> None:
        self._under_way[account].remove(answer)
        if not self._under_way[account]:
            del self._under_way[account]


def _ask_system(host: str, port: int) -> list[str]:
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
