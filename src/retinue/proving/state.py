"""All that can be seen of a tenant, or of one user's part of it, to hold it against what can be seen later."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from retinue.proving.entry import Entry, Place
from retinue.proving.exchange import Server
from retinue.proving.things import Things

State = Mapping[str, bytes]
"""What each request for something was answered."""


async def state_of(
    server: Server, entries: Sequence[Entry], things: Things, credential: str | None, *, used: frozenset[str]
) -> State:
    """Ask everything that can be asked about things.

    Args:
        things: what lists are of, such as the tenant, has to be among them for lists to be asked for.
        used: the keys that are used for this, so that their use may show.
    """
    state: dict[str, bytes] = {}
    for entry in entries:
        if entry.is_reading and entry.is_described and not entry.is_endless:
            for named in _each_of(entry, things):
                ask = entry.ask(things, named)
                answer = await server.ask(ask, credential)
                state[f"GET {ask.target}"] = b"%d %s" % (answer.status, _without_uses(answer.body, used))
    return state


def changes(before: State, after: State) -> list[str]:
    """What is seen differently."""
    return [name for name in before if before[name] != after.get(name)]


def _each_of(entry: Entry, things: Things) -> Iterator[dict[Place, str]]:
    """One request for each thing in the path, or for the tenant's list."""
    path = [place for place in entry.places() if place.where == "path"]
    lists = [place for place in entry.places() if place.name == "tenant_id" and place.where == "query"]
    if any(place.kind not in things for place in (*path, *lists)) or not (path or lists):
        return
    named = {place: things.first(place.kind) for place in (*path, *lists)}
    yield named
    for place in path:
        for other in things[place.kind][1:]:
            yield {**named, place: other}


def _without_uses(body: bytes, used: frozenset[str]) -> bytes:
    if b'"last_used_at"' not in body:
        return body
    return msgspec.json.encode(_unused(msgspec.json.decode(body), used))


def _unused(value: Any, used: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_unused(each, used) for each in value]
    if isinstance(value, dict) and value.get("id") in used:
        return {**value, "last_used_at": None}
    return value
