"""The runs of other processes that somebody here follows."""

from collections.abc import Callable
from uuid import UUID

from retinue.coordination.channel import Channel
from retinue.coordination.redis.keys import run_key


class Followed:
    """One run, for all of its followers here."""

    def __init__(self, run_id: UUID, key: str, channel: Channel) -> None:
        self.run_id = run_id
        self.key = key
        self.channel = channel
        self.followers = 0
        self.cursor: bytes | None = None
        """Id of the newest entry that was read; None until the reader has looked at what is there already."""
        self.not_before = 0.0
        """Loop time before which the reader leaves it alone."""


class Followers:
    """Counts who follows what. A run that nobody follows any more is forgotten with everything it held."""

    def __init__(self, window: int, notify: Callable[[], None]) -> None:
        self._window = window
        self._notify = notify
        self._runs: dict[str, Followed] = {}
        self._is_over = False

    def __len__(self) -> int:
        return len(self._runs)

    def join(self, tenant_id: UUID, run_id: UUID) -> Followed:
        key = run_key(tenant_id, run_id)
        followed = self._runs.get(key)
        if followed is None:
            followed = Followed(run_id, key, Channel(self._window))
            if self._is_over:
                followed.channel.close(broken=True)
            else:
                self._runs[key] = followed
                self._notify()
        followed.followers += 1
        return followed

    def leave(self, followed: Followed) -> None:
        followed.followers -= 1
        if followed.followers == 0:
            self._forget(followed)

    def adopt(self, tenant_id: UUID, run_id: UUID) -> Channel | None:
        """The run has come to this process: its followers here go on with the channel they have."""
        followed = self._runs.pop(run_key(tenant_id, run_id), None)
        if followed is None or followed.channel.is_closed:
            return None
        return followed.channel

    def due(self, now: float) -> list[Followed]:
        """What the reader has to read."""
        return [run for run in self._runs.values() if run.not_before <= now and not run.channel.is_closed]

    def is_followed(self, followed: Followed) -> bool:
        return self._runs.get(followed.key) is followed

    def break_off(self) -> None:
        self._is_over = True
        for followed in list(self._runs.values()):
            followed.channel.close(broken=True)
            self._forget(followed)

    def _forget(self, followed: Followed) -> None:
        if self.is_followed(followed):
            del self._runs[followed.key]
