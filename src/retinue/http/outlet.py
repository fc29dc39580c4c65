"""The short way for a body: from whoever has something to say straight to the connection.

A server that offers it puts an `Outlet` into the state of a request's scope. What has an outlet may send pieces of its
body through it as soon as the head of the answer has gone out by `send`; everything that stands around the application
has then had its say, because nothing here changes bodies.
"""

from collections.abc import Callable
from typing import Any, Protocol

OUTLET = "outlet"
"""Where in a request's state it is."""


class Outlet(Protocol):
    """Of one answer."""

    def is_offered(self) -> bool:
        """Whether the client has said everything: somebody who reads the rest of a request notices that it goes."""

    def is_free(self) -> bool:
        """Whether what is written now leaves at once: the head is out, the body has not ended, and nothing waits."""

    def write(self, piece: bytes) -> None:
        """Send a piece of the body. Only while it is free."""

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Call this once the client is gone, at once if it is; None: nobody needs to know any more."""


def outlet_of(scope: Any) -> Outlet | None:
    """None if the server has none for this answer."""
    outlet: Outlet | None = scope.get("state", {}).get(OUTLET)
    return outlet if outlet is not None and outlet.is_offered() else None
