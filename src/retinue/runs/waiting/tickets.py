"""What makes a request act once: the record of it is kept in the very transaction in which it acts."""

from abc import ABC, abstractmethod
from typing import Any

from retinue.db.session import Unit


class Ticket(ABC):
    """One request. The edge knows what its record looks like, the engine when it is due."""

    @abstractmethod
    async def begin(self, unit: Unit) -> None:
        """The first thing in the unit that acts.

        Raises:
            AnsweredBefore: the request has acted; nothing may be done.
            Conflict, InvalidRequest: the same name was given to another request, or is in use.
        """

    @abstractmethod
    async def end(self, unit: Unit, made: Any) -> None:
        """The last thing in that unit: keep what came of it."""


class AnsweredBefore(Exception):
    """The request was sent before, and acted."""


class Unnamed(Ticket):
    """A request that nobody can send again: each one acts."""

    async def begin(self, unit: Unit) -> None:
        pass

    async def end(self, unit: Unit, made: Any) -> None:
        pass


UNNAMED = Unnamed()
