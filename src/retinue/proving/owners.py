"""What the owner of things does with them: it shows that the entries are right, and leaves keys and cursors behind."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec

from retinue.proving.attacks import undoing
from retinue.proving.entry import CURSOR, IDEMPOTENCY, Entry
from retinue.proving.exchange import Answer, ProvingFailed, Server
from retinue.proving.things import FRESH, Things, new_word

_FORBIDDEN = 403


def require_all(entries: Iterable[Entry], things: Things) -> None:
    """Raises: ProvingFailed: an entry is about things of which none were made, so that nobody could attack them."""
    for entry in entries:
        kinds = {place.kind for place in entry.places() if place.where != "header"} - {entry.cursor_kind}
        if lacking := kinds - things.keys():
            raise ProvingFailed(f"{entry.label} is about things that are not made for the proof: {sorted(lacking)}")


async def use(
    server: Server, entries: Iterable[Entry], things: Things, credentials: Mapping[str, str], *, ends: bool
) -> Things:
    """Ask for everything with one's own things, and with keys.

    Args:
        credentials: of `admin` and `operator`; or of `user` alone, who may not do everything.
        ends: whether only that is asked for which changes its object, and what was made is deleted again.

    Returns:
        The keys that were used.

    Raises:
        ProvingFailed: an entry is not answered as it says. Attacks with it would prove nothing.
    """
    used = Things()
    for entry in entries:
        if not entry.found or entry.ends is not ends or not _has_all(entry, things):
            continue
        credential = credentials.get("user") or credentials[entry.by]
        key = f"{things.first('user')[:16]}-{new_word()}"
        ask = entry.ask(things, {}, **({IDEMPOTENCY: key} if entry.key == "taken" else {}))
        answer = await server.ask(ask, credential)
        if "user" in credentials and answer.status == _FORBIDDEN:
            continue
        _require_found(entry, answer)
        used[entry.key_kind] = (key,)
        if ends and entry.undo and answer.is_success:
            await server.ask(undoing(entry, things, ask, answer), credential)
    if not used:
        raise ProvingFailed("A credential of the proof opens nothing at all.")
    return used


def _require_found(entry: Entry, answer: Answer) -> None:
    if answer.status not in entry.found:
        raise ProvingFailed(
            f"{entry.label} is answered with {answer.status} to its owner, not with {entry.found}: "
            f"{answer.body[:500].decode(errors='replace')}"
        )


async def cursors(server: Server, entries: Sequence[Entry], things: Things, credentials: Sequence[str]) -> Things:
    """Places in the owner's own lists, as these tell them. A list that has one page only gets one of another list."""
    found = Things()
    lists = [entry for entry in entries if CURSOR in entry.query.values() and _has_all(entry, things)]
    for entry in lists:
        for credential in credentials:
            if cursor := await _cursor(server, entry, things, credential):
                found[entry.cursor_kind] = (cursor,)
    some = next(iter(found.values()), ())
    return Things({entry.cursor_kind: some for entry in lists}) | found


async def _cursor(server: Server, entry: Entry, things: Things, credential: str) -> str | None:
    named = {place: things.first(place.kind) for place in entry.places() if place.name == "tenant_id"}
    ask = entry.ask(things, named)
    ask = msgspec.structs.replace(ask, query={**ask.query, "limit": "1"})
    link = (await server.ask(ask, credential)).header("link")
    target = urlsplit(link.partition("<")[2].partition(">")[0])
    return next(iter(parse_qs(target.query).get(CURSOR, ())), None)


def keys(entries: Iterable[Entry], used: Things) -> Things:
    """A key that its owner has used for every operation that speaks of keys; where he could not, one of another."""
    some = next(iter(used.values()))
    return Things({entry.key_kind: used.get(entry.key_kind, some) for entry in entries if entry.key})


def _has_all(entry: Entry, things: Things) -> bool:
    needed = {entry.own.get(place.name, place.kind) for place in entry.places() if place.where in {"path", "body"}}
    return needed <= things.keys() | {FRESH}
