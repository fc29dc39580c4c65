"""Whether this process can open what others have sealed."""

import structlog

from retinue.crypto import Keyring
from retinue.db.repositories.sealed import SEALED
from retinue.db.session import Database
from retinue.db.tables import ServerSecret
from retinue.domain.errors import RetinueError, SecretUnreadable, UnknownMasterKey

_MANY = 100

_log = structlog.get_logger(__name__)


class MasterKeyMissing(RetinueError):
    """A secret of the server's own cannot be opened; the detail says which and why, and shows nothing of it."""


async def check_sealed(database: Database, keyring: Keyring) -> None:
    """Open the server's own secrets, and count those of tenants that need a master key which is not there.

    One tenant's key that nobody can open is that tenant's trouble, and is only logged.

    Raises:
        MasterKeyMissing: no tenant's key and no token could be checked.
        Unavailable, StorageFailed: the database does not answer.
    """
    async with database.operator(read_only=True) as unit:
        own, *others = SEALED
        assert own.table is ServerSecret
        for value in await unit.sealed.page(own, after=None, limit=_MANY):
            try:
                keyring.open(value.sealed, own.place(value.key))
            except UnknownMasterKey:
                raise _missing(value.key, "the master key that it needs is not in the list") from None
            except SecretUnreadable:
                raise _missing(value.key, "a master key is not what it was, or the row was altered") from None
        for column in others:
            if lost := await unit.sealed.count(column, keyring.heads):
                _log.warning("sealed_values_without_master_key", table=column.name, values=lost)


def _missing(name: str, reason: str) -> MasterKeyMissing:
    return MasterKeyMissing(
        f"The secret {name} in the database cannot be opened: {reason}. Put every master key that was in use back into "
        "RETINUE_MASTER_KEYS, behind the newest, and take none away while `retinue rotate-keys --check` fails."
    )
