"""Moves what master keys have sealed to the newest of them, while servers go on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from retinue.crypto import Keyring
from retinue.db.repositories.sealed import SEALED, SealedColumn, SealedValue
from retinue.db.session import Database, OperatorUnit
from retinue.domain.audit import Actor
from retinue.domain.errors import SecretUnreadable, UnknownMasterKey

PAGE = 100
"""Values per transaction. Who wants to change one of them waits for no longer than that takes."""


class Unopened(msgspec.Struct, frozen=True, kw_only=True):
    """A value that stays as it is. Shows where it is and nothing of what it is."""

    table: str
    row: str
    """A tenant's id, or the name of a secret of the server's own."""
    reason: str


class Rotation(msgspec.Struct, kw_only=True):
    """What a walk over all sealed values has come to."""

    rewrapped: int = 0
    current: int = 0
    """Those that were under the newest key anyway."""
    overtaken: int = 0
    """Those that somebody else has just sealed anew."""
    unopened: list[Unopened] = []

    @property
    def is_complete(self) -> bool:
        return not self.unopened


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What sealed values need to be opened."""

    values: int
    older: int
    """They need an older master key of the list, which therefore cannot be taken away yet."""
    unknown: int
    """They need a key that is not in the list, or are no sealed values."""


async def rotate(database: Database, keyring: Keyring, *, page: int = PAGE) -> Rotation:
    """Wrap every value under the newest master key that is not. The values themselves are not decrypted.

    Each page is a transaction of its own, and each value is replaced only if it is still the one that was read: whoever
    stores another one meanwhile wins. It can be broken off at any time and begun again, and any number of processes may
    do it at once. The audit trail tells of each that came to its end.

    Raises:
        Unavailable, StorageFailed: the database does not answer; what was done so far stays.
    """
    done = Rotation()
    for column in SEALED:
        after = None
        while True:
            async with database.operator(read_only=True) as unit:
                values = await unit.sealed.page(column, after=after, limit=page)
            if not values:
                break
            await _rotate_page(database, keyring, column, values, done)
            after = values[-1].key
    async with database.operator() as unit:
        await unit.audit.record(
            "master_keys.rotated",
            object_type="master_key",
            object_id=keyring.newest_id,
            payload={"rewrapped": done.rewrapped, "current": done.current, "unopened": len(done.unopened)},
            actor=Actor(kind="operator"),
        )
    return done


async def standing(database: Database, keyring: Keyring) -> Standing:
    """Count without opening anything.

    Raises:
        Unavailable, StorageFailed.
    """
    async with database.operator(read_only=True) as unit:
        not_current = await _count(unit, (keyring.newest,))
        return Standing(
            values=await _count(unit, ()),
            older=not_current - (unknown := await _count(unit, keyring.heads)),
            unknown=unknown,
        )


async def _count(unit: OperatorUnit, heads: tuple[bytes, ...]) -> int:
    return sum([await unit.sealed.count(column, heads) for column in SEALED])


async def _rotate_page(
    database: Database, keyring: Keyring, column: SealedColumn, values: Sequence[SealedValue], done: Rotation
) -> None:
    fresh = [(value, sealed) for value in values if (sealed := _rewrapped(keyring, column, value, done)) is not None]
    if fresh:
        async with database.operator() as unit:
            kept = [await unit.sealed.replace(column, value, sealed) for value, sealed in fresh]
        done.rewrapped += sum(kept)
        done.overtaken += len(kept) - sum(kept)


def _rewrapped(keyring: Keyring, column: SealedColumn, value: SealedValue, done: Rotation) -> bytes | None:
    with _noting(column, value, done):
        # Also of what is current: a newest key that has another value than when it sealed opens nothing.
        sealed = keyring.rewrap(value.sealed, column.place(value.key))
        if not keyring.is_current(value.sealed):
            return sealed
        done.current += 1
    return None


@contextmanager
def _noting(column: SealedColumn, value: SealedValue, done: Rotation) -> Iterator[None]:
    try:
        yield
    except UnknownMasterKey:
        reason = "its master key is not in the list"
    except SecretUnreadable:
        reason = "it was altered or moved, or its master key has another value now"
    else:
        return
    done.unopened.append(Unopened(table=column.name, row=str(value.key), reason=reason))
