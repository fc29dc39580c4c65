"""What HTTP stands on: bytes to and from an address. Errors are httpx2's."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable

READ_BYTES = 65_536
"""Read at once, at most."""

Take = Callable[[bytes], bool]
"""Takes what came and says whether it wants more. Must be quick."""


class Stream(ABC):
    """One connection. One task reads and one writes at a time; null stands for no time limit."""

    __slots__ = ()

    @abstractmethod
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next bytes; none after the server's last ones.

        Raises:
            httpx2.ReadError, httpx2.ReadTimeout
        """

    async def pour(self, take: Take) -> None:  # noqa: B027 - a stream may leave everything to `read`
        """Wait for what comes and hand it to `take`, as long as that wants more and what comes comes by itself.

        Whenever it returns, `read` goes on, also where nothing more comes. What `take` raises is raised here.
        Cancelling loses nothing that was not taken.
        """

    @abstractmethod
    async def write(self, data: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Raises: httpx2.WriteError, httpx2.WriteTimeout."""

    @abstractmethod
    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Go on encrypted, with whoever proves to have that name.

        Raises:
            httpx2.ConnectError, httpx2.ConnectTimeout: the connection is closed then.
        """

    @abstractmethod
    def close(self) -> None:
        """At once: nothing is waited for, not even for what was not sent yet."""

    @property
    @abstractmethod
    def is_readable(self) -> bool:
        """Whether there is something to read, if only the end."""


class Network(ABC):
    @abstractmethod
    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:  # noqa: ASYNC109
        """Raises: httpx2.ConnectError, httpx2.ConnectTimeout."""
