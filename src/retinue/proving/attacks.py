"""Every place of every operation, with what is somebody else's, and with what exists nowhere."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from retinue.proving.attackers import MIGHTIEST, Attacker
from retinue.proving.entry import ORIGIN, Entry, Place
from retinue.proving.exchange import REQUEST_ID, Answer, Ask, ProvingFailed, Server
from retinue.proving.judging import differences
from retinue.proving.things import Missing

_ANYWHERE = frozenset({REQUEST_ID, ORIGIN})
"""Headers that every request can have."""
_FREE = frozenset({"employee_slug", "external"})
"""Names that every tenant has for itself."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something by which somebody else's thing can be read, changed or noticed."""

    operation: str
    attacker: str
    places: str
    what: str
    repeat: str
    """A command that shows it; the credential stands in a variable."""
    compare: str = ""
    """The same with what exists nowhere."""


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    entry: Entry
    attacker: Attacker
    named: Mapping[Place, str]
    missing: Mapping[Place, str]

    @property
    def places(self) -> str:
        return ", ".join(map(str, self.named))

    @property
    def is_acting(self) -> bool:
        """Whether an attacker may change something of his own with it."""
        return not self.entry.is_reading and not any(place.where == "path" for place in self.named)

    @property
    def asks(self) -> tuple[Ask, Ask]:
        """For somebody else's thing, and for the one that is missing."""
        own = self.attacker.own
        headers = {} if any(place.name == REQUEST_ID for place in self.named) else {REQUEST_ID: "proof"}
        first, second = (self.entry.ask(own, named, **headers) for named in (self.named, self.missing))
        return first, second


def attacks_of(entry: Entry, attacker: Attacker, missing: Missing) -> Iterator[Attack]:
    """All attacks of one attacker on one operation."""
    if not (entry.is_described or attacker.is_thorough):
        return
    for named in _plans(entry, attacker):
        if entry.consumes and not any(place.where in {"path", "body"} for place in named):
            continue
        yield Attack(
            entry=entry,
            attacker=attacker,
            named=named,
            missing={place: missing.like(name) for place, name in named.items()},
        )


def _plans(entry: Entry, attacker: Attacker) -> Iterator[dict[Place, str]]:
    """Each place alone with each of what can stand there, then all of the path, then everything."""
    foreign = {place: attacker.foreign_of(place.kind) for place in entry.places()}
    places = [place for place, names in foreign.items() if names and _may_stand(place, entry, attacker)]
    path = [place for place in places if place.where == "path"]
    usual = {place: foreign[place][0] for place in places}
    if attacker.is_known:
        for place in places:
            if place.name not in _ANYWHERE or _shows_headers(entry, attacker):
                yield from ({place: name} for name in foreign[place][: None if attacker.is_thorough else 1])
        if len(path) > 1:
            yield {place: usual[place] for place in path}
    if len(places) > 1 or not attacker.is_known:
        yield usual


def _shows_headers(entry: Entry, attacker: Attacker) -> bool:
    """Whether headers that every request can have are attacked alone: where nothing is changed by it."""
    return attacker.is_thorough and entry.is_described and entry.is_reading and not entry.resumes


def _may_stand(place: Place, entry: Entry, attacker: Attacker) -> bool:
    """Anybody can learn whether some tenant has listed an origin: preflights, and whatever is answered to whom nobody
    knows, tell it.
    """
    return place.name != ORIGIN or (attacker.is_known and not entry.is_public)


async def carry_out(server: Server, attack: Attack, admin: str) -> tuple[list[Finding], bool]:
    """What an attack finds; and whether it could be carried out, and was not held back.

    Args:
        admin: a key of the attacker's tenant, to take back what it has made there.
    """
    asks, attacker = attack.asks, attack.attacker
    is_patient = attacker.is_known
    first = await server.ask(asks[0], attacker.credential, is_patient=is_patient)
    await _undo(server, attack, asks[0], first, admin)
    second = await server.ask(asks[1], attacker.twin_credential, is_patient=is_patient)
    await _undo(server, attack, asks[1], second, admin)
    if not is_patient and 429 in {first.status, second.status}:
        return [], False
    return [_finding(server, attack, asks, what) for what in _judge(attack, asks, first, second)], True


def _judge(attack: Attack, asks: tuple[Ask, Ask], first: Answer, second: Answer) -> Iterator[str]:
    entry, attacker = attack.entry, attack.attacker
    for answer, ask in zip((first, second), asks, strict=True):
        if traces := attacker.traces.found_in(answer, ask):
            yield f"tells {', '.join(traces[:5])}"
    if first.is_stream and any(place.where == "path" for place in attack.named):
        yield "a stream opens"
    yield from differences(first, second, asks, is_exact=entry.is_reading)
    if _should_be_free(attack) and first.status not in entry.found:
        yield f"a name that is free in this tenant is answered with {first.status}"


def _should_be_free(attack: Attack) -> bool:
    entry = attack.entry
    if attack.attacker.name != MIGHTIEST or len(attack.named) != 1 or not entry.found:
        return False
    (place,) = attack.named
    return place.kind in _FREE or (place.kind == entry.key_kind and entry.key == "taken")


def _finding(server: Server, attack: Attack, asks: tuple[Ask, Ask], what: str) -> Finding:
    variable = attack.attacker.variable
    return Finding(
        operation=attack.entry.label,
        attacker=attack.attacker.name,
        places=attack.places,
        what=what,
        repeat=asks[0].as_curl(server.url, variable),
        compare=asks[1].as_curl(server.url, variable),
    )


async def _undo(server: Server, attack: Attack, ask: Ask, answer: Answer, admin: str) -> None:
    """Raises: ProvingFailed, if what was made is not an object with an id."""
    undo = attack.entry.undo
    if undo is None or not attack.is_acting or not answer.is_success:
        return
    await server.ask(undoing(attack.entry, attack.attacker.own, ask, answer), admin)


def undoing(entry: Entry, own: Mapping[str, Sequence[str]], ask: Ask, answer: Answer) -> Ask:
    """The request that takes a success back."""
    if entry.undo == "delete":
        made = answer.json()
        if not isinstance(made, dict) or "id" not in made:
            raise ProvingFailed(f"{entry.name} made something without an id.")
        return Ask(method="DELETE", path=f"{ask.path}/{made['id']}")
    body = {name: own[kind.strip("{}")][0] for name, kind in entry.undo.items()}
    return Ask(method=entry.method, path=ask.path, body=body)
