"""Awaiting what mostly does not wait."""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Something to await that was carried as far as it goes without waiting. Await it only if it `waits`, and in the
    task that made it, unless nothing in it asks what its task is, as timeouts do.
    """

    result: T
    """What came of it, once it is through."""

    def __init__(self, work: Awaitable[T]) -> None:
        self._steps = work.__await__()
        self._for: Any = None
        self.waits = True
        """Whether it is not through yet."""
        try:
            self._for = next(self._steps)
        except StopIteration as end:
            self.waits, self.result = False, end.value

    def __await__(self) -> Generator[Any, Any, T]:
        steps: Any = self._steps
        while True:
            try:
                answer = yield self._for
            except BaseException as error:
                go_on, given = steps.throw, error
            else:
                go_on, given = steps.send, answer
            try:
                self._for = go_on(given)
            except StopIteration as end:
                self.result = end.value
                return self.result
