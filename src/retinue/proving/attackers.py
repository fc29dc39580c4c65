"""Who attacks whom, and with what."""

from collections.abc import Iterator, Sequence

import msgspec

from retinue.proving.grounds import Ground
from retinue.proving.judging import Traces
from retinue.proving.things import Missing, Things, forged_key, forged_token

MIGHTIEST = "stranger's admin"


class Attacker(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    credential: str | None
    twin: str | None = None
    """What is sent where the thing is asked for that exists nowhere, if that is another credential."""
    own: Things
    """Whoever names nothing of somebody else's names this."""
    foreign: Things
    traces: Traces
    is_known: bool = True
    """Whether the credential is one."""
    is_thorough: bool = True
    """Whether everything that can stand in a place is tried there, and every method, and every header alone. Others try
    one of each kind: they may do less than a thorough one of the same tenant.
    """

    def foreign_of(self, kind: str) -> Sequence[str]:
        """What is somebody else's, and not by chance called as something of one's own."""
        return [name for name in self.foreign.get(kind, ()) if name not in self.own.get(kind, ())]

    @property
    def twin_credential(self) -> str | None:
        return self.credential if self.twin is None else self.twin

    @property
    def variable(self) -> str | None:
        """How the credential is called where it must not be shown."""
        return None if self.credential is None else self.name.upper().replace(" ", "_").replace("'", "")


def strangers(ground: Ground, foreign: Things, traces: Traces, missing: Missing) -> Iterator[Attacker]:
    """Of another tenant, or of none."""
    own, keys = ground.all_things, ground.credentials

    def attacker(name: str, credential: str | None, twin: str | None = None, *, is_known: bool = False) -> Attacker:
        return Attacker(
            name=name,
            credential=credential,
            twin=twin,
            own=own,
            foreign=foreign,
            traces=traces,
            is_known=is_known,
            is_thorough=name == MIGHTIEST,
        )

    for role in ("admin", "member", "viewer", "user"):
        yield attacker(f"stranger's {role}", keys[role], is_known=True)
    yield attacker("stranger's revoked key", keys["revoked"])
    yield attacker("nobody", None)
    yield attacker("garbage", "garbage")
    victim, key = foreign.first("tenant"), foreign.first("key")
    yield attacker("forged key", forged_key(key), forged_key(missing.like(key)))
    tokens = [forged_token(keys["user"], ground.tenant, tenant) for tenant in (victim, missing.like(victim))]
    yield attacker("forged token", *tokens)


def colleagues(ground: Ground, seen: dict[str, tuple[Things, Traces]]) -> Iterator[Attacker]:
    """Of the same tenant, with tokens that reach less far.

    Args:
        seen: by the token, what is somebody else's for it.
    """
    for name, (foreign, traces) in seen.items():
        yield Attacker(
            name=f"token {name}",
            credential=ground.credentials[name],
            own=ground.all_things,
            foreign=foreign,
            traces=traces,
        )
