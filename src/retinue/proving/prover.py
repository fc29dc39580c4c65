"""The proof: two tenants are made, one attacks, and neither may notice the other."""

import asyncio
from collections.abc import AsyncGenerator, Container, Sequence
from contextlib import asynccontextmanager

from retinue.proving.attackers import MIGHTIEST, Attacker, colleagues, strangers
from retinue.proving.attacks import Attack, Finding, attacks_of, carry_out
from retinue.proving.description import gaps, operations_of
from retinue.proving.entries import ENTRIES
from retinue.proving.entry import API, Entry
from retinue.proving.exchange import Ask, ProvingFailed, Server, together
from retinue.proving.grounds import Corner, Ground
from retinue.proving.judging import Traces, ids_in
from retinue.proving.making import Maker
from retinue.proving.owners import cursors, keys, require_all, use
from retinue.proving.report import Report
from retinue.proving.state import State, changes, state_of
from retinue.proving.things import Missing, Things
from retinue.proving.timing import Timing, measure

_AT_ONCE = 8
_SHARED = frozenset({"tenant", "external"})
"""External ids are unique in a tenant, so that its users can notice that one is taken."""
_DOCUMENT = "/openapi.json"


async def prove(
    url: str,
    operator: str,
    *,
    rounds: int = 0,
    only: Container[str] | None = None,
    entries: Sequence[Entry] = ENTRIES,
) -> Report:
    """Try to read, change or notice another tenant's things, and other users' things within a tenant.

    Makes two tenants and deletes them again.

    Args:
        operator: the operator's key.
        rounds: how often times are taken for each operation; they are reported and not judged.
        only: the names of the operations that are attacked; None for all.

    Raises:
        ProvingFailed: nothing was proven: the server does not answer, asks nobody for a key, or has operations that are
            not known here, or the tenants cannot be made.
    """
    async with Server(url) as server:
        await _require_known(server, entries)
        async with _grounds(server, operator) as (stranger, victim):
            proof = _Proof(server, operator, entries, stranger, victim)
            await proof.prepare(only)
            await proof.attack()
            timings = await proof.measure(rounds) if rounds else ()
            await proof.conclude()
        return Report(
            url=server.url,
            operations=len({entry.name for entry in entries}),
            attackers=[attacker.name for attacker in proof.attackers],
            attacks=len(proof.attacks),
            requests=server.requests,
            held_back=proof.held_back,
            findings=proof.findings,
            timings=timings,
        )


async def _require_known(server: Server, entries: Sequence[Entry]) -> None:
    """Raises: ProvingFailed."""
    document = (await server.ask(Ask(method="GET", path=_DOCUMENT), None)).json()
    if not isinstance(document, dict) or "paths" not in document:
        raise ProvingFailed(f"{server.url} does not describe itself at {_DOCUMENT}. Is it Retinue?")
    if found := gaps(entries, operations_of(document)):
        raise ProvingFailed("The server has other operations than are known here:\n" + "\n".join(found))
    if (await server.ask(Ask(method="GET", path=f"{API}/tenants"), None)).is_success:
        raise ProvingFailed("The server asks nobody for a key: it is in open mode, where everything is everybody's.")


@asynccontextmanager
async def _grounds(server: Server, operator: str) -> AsyncGenerator[tuple[Ground, Ground], None]:
    makers = [Maker(server, operator) for _ in range(2)]
    failures: list[str] = []
    try:
        stranger, victim = [await maker.make() for maker in makers]
        yield stranger, victim
    except ProvingFailed as failure:
        failures.append(str(failure))
    finally:
        failures += [left for maker in makers if (left := await _left_by(maker))]
    if failures:
        raise ProvingFailed("\n".join(failures))


async def _left_by(maker: Maker) -> str | None:
    try:
        await maker.delete()
    except ProvingFailed as failure:
        return f"A tenant is left behind; delete it yourself: {failure}"
    return None


class _Proof:
    def __init__(
        self, server: Server, operator: str, entries: Sequence[Entry], stranger: Ground, victim: Ground
    ) -> None:
        self._server = server
        self._operator = operator
        self._entries = entries
        self._stranger = stranger
        self._victim = victim
        self._missing = Missing(victim.words | stranger.words)
        self._before: dict[str, State] = {}
        self.attackers: list[Attacker] = []
        self.attacks: list[Attack] = []
        self.findings: list[Finding] = []
        self.held_back = 0

    async def prepare(self, only: Container[str] | None) -> None:
        """Have the owners use what is theirs, look at all of it, and plan the attacks."""
        server, victim = self._server, self._victim
        admin = victim.credentials["admin"]
        require_all(self._entries, victim.all_things)
        both = {"admin": admin, "operator": self._operator}
        used = await use(server, self._entries, victim.all_things, both, ends=False)
        places = await cursors(server, self._entries, victim.all_things, (self._operator, admin))
        foreign = victim.all_things | keys(self._entries, used) | places
        self._before = await self._look()
        own = await self._state(self._stranger.all_things, self._stranger.credentials["admin"])
        traces = _traces(victim.words, [self._before["victim"]], own)
        self.attackers = list(strangers(self._stranger, foreign, traces, self._missing))
        self.attackers += colleagues(self._stranger, await self._nearby())
        self.attacks = [
            attack
            for entry in self._entries
            if only is None or entry.name in only
            for attacker in self.attackers
            for attack in attacks_of(entry, attacker, self._missing)
        ]

    async def _nearby(self) -> dict[str, tuple[Things, Traces]]:
        """What is somebody else's for the tokens within the attacking tenant."""
        ground, server = self._stranger, self._server
        neighbour = ground.credentials["neighbour"]
        things = ground.neighbour.things | {"request": ground.things["request"]}
        full = ground.things | ground.neighbour.things
        used = await use(server, self._entries, full, {"user": neighbour}, ends=False)
        places = await cursors(server, self._entries, full, (neighbour,))
        self._before["neighbour"] = await self._corner(ground.neighbour)
        elsewhere = ground.elsewhere.things | {"employee": ground.things["employee"][1:2]}
        own = await self._corner(ground.user)
        near = (
            _of_others(things | keys(self._entries, used) | places),
            _traces({ground.neighbour.word}, [self._before["neighbour"]], own),
        )
        far = (_of_others(elsewhere), _traces({ground.elsewhere.word}, [self._before["elsewhere"]], own))
        return {"user": near, "bound to an employee": far, "bound to a conversation": far}

    async def attack(self) -> None:
        """First what changes nothing, many at once; then, one by one, what changes the attackers' own things. Wrong
        credentials come last: a server may stop to listen to an address that sends many.
        """
        known = [attack for attack in self.attacks if attack.attacker.is_known]
        await self._at_once([attack for attack in known if not attack.is_acting])
        for attack in known:
            if attack.is_acting:
                await self._carry_out(attack)
        await self._at_once([attack for attack in self.attacks if not attack.attacker.is_known])

    async def _at_once(self, attacks: Sequence[Attack]) -> None:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(attack: Attack) -> None:
            async with limit:
                await self._carry_out(attack)

        await together(*map(one, attacks))

    async def _carry_out(self, attack: Attack) -> None:
        findings, is_done = await carry_out(self._server, attack, self._stranger.credentials["admin"])
        self.findings += findings
        self.held_back += not is_done

    async def measure(self, rounds: int) -> list[Timing]:
        """For each operation, with the mightiest stranger and one place: beyond the tenant, if there is one."""
        chosen: dict[str, Attack] = {}
        for attack in self.attacks:
            if attack.attacker.name == MIGHTIEST and attack.entry.is_described and _names_something(attack):
                known = chosen.setdefault(attack.entry.label, attack)
                if any(place.kind == "tenant" for place in known.named):
                    chosen[attack.entry.label] = attack
        return [await measure(self._server, attack, rounds) for attack in chosen.values()]

    async def conclude(self) -> None:
        """Look again, and do to the attacker's own things what they do not survive."""
        after = await self._look()
        for name, before in self._before.items():
            for changed in changes(before, after[name]):
                self.findings.append(
                    Finding(
                        operation=changed,
                        attacker="somebody",
                        places=f"things of the {name}",
                        what="is not what it was before the attacks",
                        repeat=f"# {changed}",
                    )
                )
        stranger = self._stranger
        both = {"admin": stranger.credentials["admin"], "operator": self._operator}
        await use(self._server, self._entries, stranger.all_things, both, ends=True)

    async def _look(self) -> dict[str, State]:
        victim, stranger = self._victim, self._stranger
        return {
            "victim": await self._state(victim.all_things, victim.credentials["admin"]),
            "victim, as the operator sees it": await self._state(victim.all_things, self._operator),
            "neighbour": await self._corner(stranger.neighbour),
            "elsewhere": await self._corner(stranger.elsewhere),
        }

    async def _corner(self, corner: Corner) -> State:
        return await self._state(corner.things, self._stranger.credentials["admin"])

    async def _state(self, things: Things, credential: str | None) -> State:
        used = frozenset(key for ground in (self._stranger, self._victim) for key in ground.things["admin_key"])
        return await state_of(self._server, self._entries, things, credential, used=used)


def _traces(words: frozenset[str] | set[str], foreign: Sequence[State], own: State) -> Traces:
    """The ids that are in somebody else's state and not in one's own."""
    ids = ids_in([body for state in foreign for body in state.values()]) - ids_in(list(own.values()))
    return Traces(words=frozenset(words), ids=ids)


def _of_others(things: Things) -> Things:
    """Without what the users of a tenant share."""
    return Things({kind: names for kind, names in things.items() if kind not in _SHARED})


def _names_something(attack: Attack) -> bool:
    is_named = len(attack.named) == 1 and all(place.kind not in {"request", "origin"} for place in attack.named)
    return is_named and not attack.is_acting
