"""What a scenario is."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import NamedTuple

from tests.bench.arena import CONTENDERS, Arena
from tests.bench.contenders import Contender


class Scenario(NamedTuple):
    name: str
    """`S1`, and what may follow after a blank tells its variants apart."""
    title: str
    main: str
    """The figure by which contenders are compared."""
    measure: Callable[[Arena, Contender], Awaitable[dict[str, float]]]
    contenders: tuple[str, ...] = CONTENDERS
    open: Callable[[Arena, ExitStack, str], Awaitable[Contender]] | None = None
    """For contenders that no other scenario uses; they are closed after it."""
    most_rounds: int = 100

    @property
    def key(self) -> str:
        """By which it is asked for."""
        return self.name.partition(" ")[0]
