"""Who may come in, put together the way the product does."""

from collections.abc import Callable
from time import monotonic

from litestar import Controller

from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.http.controllers import bound
from retinue.http.idempotency import Once
from retinue.http.parameters import knows_every_parameter
from retinue.resources.tenants.keys.controller import KeyController
from retinue.resources.tenants.keys.service import KeyService
from retinue.resources.tenants.origins.controller import OriginController
from retinue.resources.tenants.origins.service import OriginService
from retinue.resources.tenants.tokens.controller import TokenController
from retinue.resources.tenants.tokens.service import TokenService
from retinue.security.authentication import Authenticator
from retinue.security.guards import AccessGuard
from retinue.security.key_book import KeyBook
from retinue.security.watch import StreamWatch

KEYRING = Keyring({"test": bytes(32)})


class Door:
    """One process's. Without an operator key it is open."""

    def __init__(
        self, database: Database, operator_key: str | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._database = database
        self.book = KeyBook(database, clock)
        self.authenticator = Authenticator(operator_key or "", self.book, database, KEYRING)
        self.guard = AccessGuard(None if operator_key is None else self.authenticator, then=knows_every_parameter)
        self.watch = StreamWatch(self.book)

    def controllers(self, once: Once) -> list[type[Controller]]:
        return [
            bound(KeyController, keys=KeyService(self._database, self.authenticator, self.book, once)),
            bound(TokenController, tokens=TokenService(self._database, self.authenticator)),
            bound(OriginController, origins=OriginService(self._database, self.book)),
        ]
