"""Who may come in: keys, tokens, origins, and the streams of those who came in."""

from collections.abc import Coroutine
from typing import Any

import structlog
from litestar import Controller
from litestar.types import ASGIApp

from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.domain.errors import StorageFailed, Unavailable
from retinue.http.controllers import bound
from retinue.http.cors import Cors, Preflights
from retinue.http.idempotency import Once
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.parameters import knows_every_parameter
from retinue.resources.tenants.keys.controller import KeyController
from retinue.resources.tenants.keys.service import KeyService
from retinue.resources.tenants.origins.controller import OriginController
from retinue.resources.tenants.origins.service import OriginService
from retinue.resources.tenants.tokens.controller import TokenController
from retinue.resources.tenants.tokens.service import TokenService
from retinue.security.attempts import Attempts
from retinue.security.authentication import Authenticator
from retinue.security.guards import AccessGuard, Meter
from retinue.security.key_book import KeyBook, keep_writing_uses
from retinue.security.watch import StreamWatch
from retinue.settings import Settings

_log = structlog.get_logger(__name__)


class Access:
    """One process's door. In open mode keys can be made, and count as soon as there is an operator key."""

    def __init__(self, settings: Settings, database: Database, keyring: Keyring, meter: Meter) -> None:
        self._database = database
        limits = settings.limits
        self._limits = EdgeLimits(
            body_bytes=limits.body_bytes, body_depth=limits.body_depth, body_seconds=limits.body_seconds
        )
        self.book = KeyBook(database)
        self.authenticator = Authenticator(settings.operator_key.get_secret_value(), self.book, database, keyring)
        known = None if settings.is_open else self.authenticator
        rates = settings.rates
        attempts = Attempts(rates.wrong_credentials_per_minute, proxies=rates.trusted_proxies)
        self.guard = AccessGuard(known, meter=meter, attempts=attempts, then=knows_every_parameter)
        self.watch = StreamWatch(self.book)

    async def start(self) -> None:
        """Look whether the server's secrets can be opened; without a database that is put off.

        Raises:
            UnknownMasterKey, SecretUnreadable.
        """
        try:
            await self.authenticator.secrets()
        except (Unavailable, StorageFailed) as error:
            _log.warning("server_secrets_not_read", code=error.problem_code)

    def jobs(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {"key-uses": keep_writing_uses(self.book), "stream-watch": self.watch.keep()}

    def edge(self, app: ASGIApp) -> ASGIApp:
        """The application behind all that a request passes before it."""
        is_listed = self.book.is_listed
        return Cors(Edge(Preflights(app, is_listed), self._limits), is_listed)

    def controllers(self, once: Once) -> list[type[Controller]]:
        keys = KeyService(self._database, self.authenticator, self.book, once)
        return [
            bound(KeyController, keys=keys),
            bound(TokenController, tokens=TokenService(self._database, self.authenticator)),
            bound(OriginController, origins=OriginService(self._database, self.book)),
        ]
