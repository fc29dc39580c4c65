"""SDK clients, made once and kept: making one costs more than a short answer."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from retinue.providers.base import ProviderConfig, ProviderOptions

C = TypeVar("C")
_Key = tuple[str, str | None, bytes, ProviderOptions]

MAX_CLIENTS = 512
NO_KEY = "none"
"""What servers that need no key get, because the SDKs insist on one."""


class ClientCache(Generic[C]):
    """The clients used last. They own no connection: all share one HTTP client, so dropping one closes nothing."""

    def __init__(self, make: Callable[[ProviderConfig], C], *, size: int = MAX_CLIENTS) -> None:
        self._make = make
        self._size = size
        self._clients: OrderedDict[_Key, C] = OrderedDict()

    def get(self, config: ProviderConfig) -> C:
        """The client for this provider, address, key and these options. The model makes no difference."""
        digest = hashlib.sha256((config.api_key or "").encode("utf-8", "surrogatepass")).digest()
        key = (config.provider, config.base_url, digest, config.options)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self._make(config)
            if len(self._clients) > self._size:
                self._clients.popitem(last=False)
        else:
            self._clients.move_to_end(key)
        return client

    def clear(self) -> None:
        """Keep none: each holds a key in clear. Calls that are being made are not disturbed."""
        self._clients.clear()
