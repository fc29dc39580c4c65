"""Answers that begin when the application has returned.

A stream may take hours, and everything that was needed to find it (the request, its body, a dozen coroutines) would be
held as long. What the routes return here is therefore only noted, and sent by the edge.
"""

from typing import Any

from litestar.types import ASGIApp

from retinue.http.attendance import LEAVE
from retinue.http.outlet import OUTLET
from retinue.http.rate_limit import RATE_HEADERS

AFTERWARDS = "afterwards"
"""Where in a request's state such an answer is noted, if whoever is around the application looks there."""
REQUEST_ID = "request_id"
_KEPT = frozenset({LEAVE, OUTLET, RATE_HEADERS, REQUEST_ID})


def afterwards(answer: Any) -> ASGIApp:
    """An answer for a route to return."""

    async def note(scope: Any, receive: Any, send: Any) -> None:
        state = scope.get("state", {})
        if AFTERWARDS in state:
            state[AFTERWARDS] = answer
        else:
            await answer(scope, receive, send)

    return note


def take_answer(state: dict[str, Any]) -> ASGIApp | None:
    """What was noted in the state of a request; of everything else, only what is needed until its end stays there."""
    answer: ASGIApp | None = state.get(AFTERWARDS)
    if answer is not None:
        for name in state.keys() - _KEPT:
            del state[name]
    return answer
