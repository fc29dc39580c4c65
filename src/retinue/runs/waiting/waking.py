"""How a run that waits goes on in the very process that got what it waited for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from retinue.db.session import Unit
from retinue.domain.errors import RequestError
from retinue.domain.runs import Run
from retinue.domain.secret import Secret
from retinue.runs.waiting.tickets import AnsweredBefore


class Wake(ABC):
    """What somebody has supplied to a waiting run and must not be stored."""

    passwords: Mapping[str, Secret]
    """By the ids of their calls."""

    @abstractmethod
    async def prepare(self, unit: Unit) -> Run:
        """Take the wait back, in the transaction that claims the run. Returns the run as it is before that.

        Raises:
            RequestError: the run does not wait for this.
            AnsweredBefore: it was supplied before.
        """


class WakeRefused(Exception):
    def __init__(self, reason: RequestError | AnsweredBefore) -> None:
        super().__init__()
        self.reason = reason
